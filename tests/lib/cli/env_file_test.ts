import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertRejects } from "@std/assert/rejects";
import { assertThrows } from "@std/assert/throws";
import { fromBytes } from "../../../ffi/c_string.ts";
import { close, pipe2 } from "../../../ffi/descriptor.ts";
import { readEnvFile } from "../../../lib/cli/env_file.ts";
import { Sandbox } from "../../sandbox.ts";
import "../../open_libc.ts";

async function read(text: string): Promise<string[]> {
  await using box = await Sandbox.create();
  Deno.writeTextFileSync(box.path("file"), text);
  return readEnvFile(box.path("file")).map(fromBytes);
}

Deno.test("readEnvFile() takes values as they are, and passes comments over", async () => {
  assertEquals(
    await read("# a=1\nA= b 'c'\n\nB=\nC=#d=\n"),
    ["A= b 'c'", "B=", "C=#d="],
  );
});

Deno.test("readEnvFile() takes a last line without an end, and a file without lines", async () => {
  assertEquals(await read("A=1\nB=2"), ["A=1", "B=2"]);
  assertEquals(await read(""), []);
});

Deno.test("readEnvFile() takes a variable as often as the file has room for it", async () => {
  const text = "B=0\n" + "A=1\n".repeat((8 << 18) - 2) + "A=2\n";
  assertEquals(await read(text), ["B=0", "A=2"]);
  assertEquals(await read("\n".repeat(8 << 20)), []);
});

Deno.test("readEnvFile() refuses more variables than a command can be given", async () => {
  // A pointer to each takes more of the kernel's 6 MiB than its text.
  const name = (_: unknown, i: number) => `${i}=\n`;
  const most = Array.from({ length: 390_000 }, name).join("");
  assertEquals((await read(most)).length, 390_000);
  const error = await assertRejects(
    () => read(Array.from({ length: 500_000 }, name).join("")),
    Error,
  );
  assertMatch(
    error.message,
    /: line 4\d{5}: no command can be given so many variables$/,
  );
});

Deno.test("readEnvFile() takes names of any letters", async () => {
  // Among the bytes of these are some that are blanks in Latin-1.
  assertEquals(await read("à=1\nÅ=2\n"), ["à=1", "Å=2"]);
});

for (
  const [text, why] of [
    ["A=1\nB\n", "line 2: not NAME=VALUE"],
    ["\n=1\n", "line 2: there is no name before ="],
    ["#\n\nexport A=1", "line 3: there is a blank in the name"],
    [" A=1\n", "line 1: there is a blank in the name"],
    ["A=1\0\n", "line 1: a NUL byte cannot be in a variable"],
  ] as const
) {
  Deno.test(`readEnvFile() refuses ${JSON.stringify(text)}`, async () => {
    await using box = await Sandbox.create();
    const file = box.path("file");
    Deno.writeTextFileSync(file, text);
    const error = assertThrows(() => readEnvFile(file), Error);
    assertEquals(error.message, `option --env-file=${file}: ${why}`);
  });
}

Deno.test("readEnvFile() says why a file cannot be read", () => {
  assertThrows(
    () => readEnvFile("/proc"),
    Error,
    "option --env-file=/proc: read failed (Is a directory)",
  );
});

for (const kind of ["file", "link"] as const) {
  Deno.test({
    name:
      `readEnvFile() does not believe another user's ${kind} where anybody can put one`,
    // Nobody else can give a file away.
    ignore: Deno.uid() !== 0,
    fn: async () => {
      await using box = await Sandbox.create();
      const dir = box.path("shared");
      Deno.mkdirSync(dir);
      Deno.chmodSync(dir, 0o1777);
      const file = `${dir}/env`;
      Deno.writeTextFileSync(box.path("ours"), "A=1\n");
      if (kind === "link") Deno.symlinkSync("../ours", file);
      else Deno.writeTextFileSync(file, "A=1\n");
      // Ours is believed there, and theirs where nobody else can put it.
      assertEquals(readEnvFile(file).map(fromBytes), ["A=1"]);
      await box.run(["chown", "-h", "65534", file]);
      const whose = kind === "link" ? "is a symbolic link of" : "belongs to";
      const error = assertThrows(() => readEnvFile(file), Error);
      assertEquals(
        error.message,
        `option --env-file=${file}: open failed (it ${whose} user 65534; ` +
          "remove it)",
      );
      Deno.chmodSync(dir, 0o755);
      assertEquals(readEnvFile(file).map(fromBytes), ["A=1"]);
    },
  });
}

Deno.test("readEnvFile() reads a FIFO to its end, and does not wait for a writer", async () => {
  await using box = await Sandbox.create();
  const file = box.path("file");
  await box.run(["mkfifo", file]);
  const error = assertThrows(() => readEnvFile(file), Error);
  assertEquals(
    error.message,
    `option --env-file=${file}: it is a FIFO that nobody writes to`,
  );
  // It has the FIFO open from before we read, and says what it has later.
  const script = 'exec 3<>"$1"; echo >"$1.open"; sleep 0.1; echo A=1 >&3';
  const writer = box.start(["sh", "-c", script, "sh", file]);
  await box.until("it is open", () => box.exists(`${file}.open`));
  assertEquals(readEnvFile(file).map(fromBytes), ["A=1"]);
  await writer.finished();
});

Deno.test("readEnvFile() takes nothing from a pipe that nobody writes to any more", () => {
  const { readFd, writeFd } = pipe2();
  close(writeFd);
  assertEquals(readEnvFile(`/proc/self/fd/${readFd}`), []);
  close(readFd);
});

for (const what of ["a device without an end", "1 GB"]) {
  Deno.test(`readEnvFile() does not read ${what}`, async () => {
    await using box = await Sandbox.create();
    const file = what === "1 GB" ? box.path("file") : "/dev/zero";
    if (what === "1 GB") {
      using sparse = Deno.createSync(file);
      sparse.truncateSync(1 << 30);
    }
    const error = assertThrows(() => readEnvFile(file), Error);
    assertEquals(
      error.message,
      `option --env-file=${file}: it has more than 8 MiB`,
    );
  });
}
