import { assertEquals } from "@std/assert/equals";
import { replaceReadlink } from "../../scripts/readlink.ts";
import {
  ARCHITECTURES,
  binutil,
  emulator,
  lacks,
  link,
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
const ENOENT = 2;
const ENOTDIR = 20;
const EINVAL = 22;
const ENAMETOOLONG = 36;

for (const architecture of ARCHITECTURES) {
  const tools = ["as", "ld"].map((name) => binutil(architecture, name));
  const options = {
    ignore: await lacks([...tools, ...emulator(architecture)]),
  };

  /** Makes the program in a directory of its own. */
  const withProgram = (
    work: (program: string[], dir: string) => Promise<void>,
  ) =>
    withTempDir(async (temporary) => {
      const dir = await Deno.realPath(temporary);
      const [libc, linked, file] = [`${dir}/l`, `${dir}/p`, `${dir}/program`];
      await link(architecture, LIBC, libc, ["-shared"]);
      const pie = ["-pie", "--no-dynamic-linker", "-znow", libc];
      await link(architecture, PROGRAMS[architecture], linked, pie);
      const elf = await Deno.readFile(linked);
      replaceReadlink(elf);
      await Deno.writeFile(file, elf, { mode: 0o755 });
      await work([...emulator(architecture), file], dir);
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
      withProgram(async (program, dir) => {
        await Deno.symlink("/there", `${dir}/link`);
        await Deno.symlink(EXE, `${dir}/exe`);
        const path = `${dir}/link`;
        assertEquals(await ask(program, path, ROOM), success("/there"));
        assertEquals(await ask(program, path, 3), success("/th"));
        const exe = await ask(program, `${dir}/exe`, ROOM);
        assertEquals(exe, success(EXE));
      }),
  });

  Deno.test({
    name: `replaceReadlink() has ${architecture} say why it cannot read a link`,
    ...options,
    fn: () =>
      withProgram(async (program, dir) => {
        const failures = [
          ["/none", ROOM, ENOENT],
          ["", ROOM, ENOENT],
          [dir, ROOM, EINVAL],
          ["/proc/self/cwd", 0, EINVAL],
          [EXE.slice(0, -1), ROOM, ENOENT],
          [`${EXE}c`, ROOM, ENOENT],
          [`${EXE}/`, ROOM, ENOTDIR],
          ["x".repeat(5000), ROOM, ENAMETOOLONG],
        ] as const;
        for (const [path, size, errno] of failures) {
          assertEquals(await ask(program, path, size), failure(errno));
        }
      }),
  });

  Deno.test({
    name:
      `replaceReadlink() has ${architecture} answer ${EXE} with itself, or as much as there is room for`,
    ...options,
    fn: () =>
      withProgram(async (program) => {
        for (const size of [0, 1, 13, 14, 15, ROOM]) {
          const text = EXE.slice(0, size);
          assertEquals(await ask(program, EXE, size), success(text));
        }
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
      const paths = ["link", "none", "deno", "${EXE}"];
      console.log(JSON.stringify(paths.map(read)));`;
    const { stdout } = await new Deno.Command(program, {
      args: ["eval", "--quiet", code],
      cwd: path,
      env: { DENO_DIR: path, NO_COLOR: "1" },
    }).output();
    assertEquals(JSON.parse(new TextDecoder().decode(stdout)), [
      "there",
      "No such file or directory (os error 2)",
      "Invalid argument (os error 22)",
      EXE,
    ]);
  }));
