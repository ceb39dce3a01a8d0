import { assertEquals } from "@std/assert/equals";
import { replaceReadlink } from "../../scripts/readlink.ts";
import {
  ARCHITECTURES,
  binutil,
  emulator,
  lacks,
  link,
  must,
  withTempDir,
} from "../binutils.ts";
import { LIBC, PROGRAMS } from "./readlink_programs.ts";

/** How many bytes the program writes each time, and how many are its buffer. */
const ANSWER = 256;
const ROOM = ANSWER - 16;

/** What these say. */
interface Answer {
  result: number;
  errno: number;
  /** As much of the buffer as the result says. */
  text: string;
}

function readAnswer(bytes: Uint8Array<ArrayBuffer>, size: number): Answer {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const result = Number(view.getBigInt64(0, true));
  const errno = Number(view.getBigInt64(8, true));
  const buffer = new TextDecoder().decode(bytes.subarray(16));
  assertEquals(buffer.slice(size), ".".repeat(ROOM - size));
  return { result, errno, text: buffer.slice(0, Math.max(0, result)) };
}

function success(text: string): Answer {
  return { result: text.length, errno: 0, text };
}

function failure(errno: number): Answer {
  return { result: -1, errno, text: "" };
}

const EXE = "/proc/self/exe";
/** What the name of a file ends in that is gone: an emulator never says so. */
const DELETED = " (deleted)";
const ENOENT = 2;
const EINVAL = 22;
const ENAMETOOLONG = 36;

/** Runs a program in a directory, which is the root directory for it. */
const CHROOT = [
  ...["unshare", "-Urm", "sh", "-ec"],
  'cd "$1"; shift; mkdir -p proc; mount --rbind /proc proc; exec chroot . "$@"',
  "sh",
];

function canChroot(): boolean {
  if (Deno.env.get("CI")) return true;
  return new Deno.Command("unshare", { args: ["-Urm", "true"] })
    .outputSync().success;
}

for (const architecture of ARCHITECTURES) {
  const tools = ["as", "ld"].map((name) => binutil(architecture, name));
  const options = {
    ignore: await lacks([...tools, ...emulator(architecture)]),
  };

  /** Makes the program in a directory of its own. */
  const withProgram = (
    name: string,
    work: (dir: string, file: string) => Promise<void>,
  ) =>
    withTempDir(async (temporary) => {
      const dir = await Deno.realPath(temporary);
      const [libc, linked, file] = [`${dir}/l`, `${dir}/p`, `${dir}/${name}`];
      await link(architecture, LIBC, libc, ["-shared"]);
      const pie = ["-pie", "--no-dynamic-linker", "-znow", libc];
      await link(architecture, PROGRAMS[architecture], linked, pie);
      const elf = await Deno.readFile(linked);
      replaceReadlink(elf);
      await Deno.writeFile(file, elf, { mode: 0o755 });
      await work(dir, file);
    });

  /** Asks a program for a link, and for the same again. */
  const ask = async (program: string[], path: string, size: number) => {
    const [command, ...args] = [...program, path, "x".repeat(size)];
    const { code, stdout } = await new Deno.Command(command!, { args })
      .output();
    assertEquals([code, stdout.length], [0, 2 * ANSWER]);
    const answer = readAnswer(stdout.slice(0, ANSWER), size);
    assertEquals(readAnswer(stdout.slice(ANSWER), size), answer);
    return answer;
  };

  Deno.test({
    name: `replaceReadlink() has ${architecture} read links as they are`,
    ...options,
    fn: () =>
      withProgram("program", async (dir, file) => {
        const program = [...emulator(architecture), file];
        await Deno.symlink("/there", `${dir}/a`);
        await Deno.symlink(`gone${DELETED}`, `${dir}/b`);
        assertEquals(await ask(program, EXE, ROOM), success(file));
        assertEquals(await ask(program, `${dir}/a`, ROOM), success("/there"));
        assertEquals(await ask(program, `${dir}/a`, 3), success("/th"));
        const gone = success(`gone${DELETED}`);
        assertEquals(await ask(program, `${dir}/b`, ROOM), gone);
      }),
  });

  Deno.test({
    name: `replaceReadlink() has ${architecture} say why it cannot read a link`,
    ...options,
    fn: () =>
      withProgram("program", async (dir, file) => {
        const program = [...emulator(architecture), file];
        const failures = [
          ["/none", ROOM, ENOENT],
          ["", ROOM, ENOENT],
          [dir, ROOM, EINVAL],
          [EXE, 0, EINVAL],
          ["x".repeat(5000), ROOM, ENAMETOOLONG],
        ] as const;
        for (const [path, size, errno] of failures) {
          assertEquals(await ask(program, path, size), failure(errno));
        }
      }),
  });

  Deno.test({
    name:
      `replaceReadlink() has ${architecture} answer with ${EXE} when the program is gone`,
    ...options,
    fn: () =>
      withProgram(`program${DELETED}`, async (_, file) => {
        const program = [...emulator(architecture), file];
        for (const size of [file.length, ROOM]) {
          assertEquals(await ask(program, EXE, size), success(EXE));
        }
        // Not the end of it.
        const cut = file.slice(0, -1);
        assertEquals(await ask(program, EXE, cut.length), success(cut));
      }),
  });

  Deno.test({
    name:
      `replaceReadlink() has ${architecture} write no more than there is room for`,
    ignore: options.ignore || !canChroot(),
    fn: () =>
      // A name shorter than what comes in its place.
      withProgram(`a${DELETED}`, async (dir) => {
        const program = [...CHROOT, dir];
        for (const name of emulator(architecture)) {
          const copy = 'cp "$(command -v "$1")" "$2/emulator"';
          await must("sh", ["-c", copy, "sh", name, dir]);
          program.push("/emulator");
        }
        program.push(`/a${DELETED}`);
        for (const size of [12, 13, 14, 15]) {
          const text = EXE.slice(0, size);
          assertEquals(await ask(program, EXE, size), success(text));
        }
        const cut = `/a${DELETED}`.slice(0, 11);
        assertEquals(await ask(program, EXE, 11), success(cut));
      }),
  });
}

Deno.test("replaceReadlink() leaves Deno as it was but for its own name", () =>
  withTempDir(async (path) => {
    const program = `${path}/deno`;
    const elf = await Deno.readFile(Deno.execPath());
    replaceReadlink(elf);
    await Deno.writeFile(program, elf, { mode: 0o755 });
    await Deno.symlink("there", `${path}/link`);
    const code = `
      const read = (path) => {
        try {
          return Deno.readLinkSync(path);
        } catch (error) {
          return error.message.replace(/:.*/, "");
        }
      };
      const paths = ["link", "none", "deno", "/proc/self/exe"];
      console.log(JSON.stringify(paths.map(read)));`;
    const name = `${await Deno.realPath(path)}/deno`;
    for (
      const [script, itself] of [
        ['exec "$@"', name],
        ['exec 9<"$1"; rm "$1"; shift; exec /proc/self/fd/9 "$@"', EXE],
      ] as const
    ) {
      const { stdout } = await new Deno.Command("sh", {
        args: ["-c", script, "sh", program, "eval", "--quiet", code],
        cwd: path,
        env: { DENO_DIR: path, NO_COLOR: "1" },
      }).output();
      assertEquals(JSON.parse(new TextDecoder().decode(stdout)), [
        "there",
        "No such file or directory (os error 2)",
        itself === EXE
          ? "No such file or directory (os error 2)"
          : "Invalid argument (os error 22)",
        itself,
      ]);
    }
  }));
