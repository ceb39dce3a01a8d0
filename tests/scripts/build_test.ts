import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertStringIncludes } from "@std/assert/string-includes";
import { type Outcome, run } from "../../scripts/command.ts";

const ROOT = `${import.meta.dirname}/../..`;

/** A tree with our scripts and another program. */
class Tree implements AsyncDisposable {
  private constructor(readonly path: string) {}

  static async create(main: string): Promise<Tree> {
    const tree = new Tree(await Deno.makeTempDir());
    // scripts/entry.ts imports some of ffi.
    for (const name of ["scripts", "ffi"]) {
      await copyTree(`${ROOT}/${name}`, `${tree.path}/${name}`);
    }
    await tree.write(main);
    return tree;
  }

  write(main: string): Promise<void> {
    return Deno.writeTextFile(`${this.path}/main.ts`, main);
  }

  build(...args: string[]): Promise<Outcome> {
    const script = `${this.path}/scripts/build.ts`;
    return run(Deno.execPath(), ["run", "-A", script, ...args]);
  }

  program(): Promise<Outcome> {
    return run(`${this.path}/dist/tend`, []);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

async function copyTree(from: string, to: string): Promise<void> {
  await Deno.mkdir(to);
  for (const { name, isDirectory } of Deno.readDirSync(from)) {
    const copy = isDirectory ? copyTree : Deno.copyFile;
    await copy(`${from}/${name}`, `${to}/${name}`);
  }
}

Deno.test("build.ts makes a program of one thread that may use FFI alone", async () => {
  await using tree = await Tree.create(`
    const libc = Deno.dlopen("libc.so.6", {
      opendir: { parameters: ["buffer"], result: "pointer" },
      readdir: { parameters: ["pointer"], result: "pointer" },
    });
    const path = new TextEncoder().encode("/proc/self/task\\0");
    const dir = libc.symbols.opendir(path);
    let threads = -2; // "." and ".."
    while (libc.symbols.readdir(dir) !== null) threads++;
    console.log(threads);
    for (const name of ["env", "read", "write", "net", "run", "sys"] as const) {
      console.log(name, Deno.permissions.querySync({ name }).state);
    }
    Deno.readTextFileSync("/etc/passwd");
  `);
  const built = await tree.build();
  assert(built.success, built.output);
  assertMatch(built.output, /^build: dist\/tend, [0-9.]+ MiB, in [0-9.]+ s$/m);

  const { success, stdout, output } = await tree.program();
  assert(!success);
  assertStringIncludes(output, "NotCapable");
  const states = ["env", "read", "write", "net", "run", "sys"]
    .map((name) => `${name} prompt\n`);
  assertEquals(stdout, `1\n${states.join("")}`);
});

Deno.test("build.ts --if-needed builds once for two callers, and again when a file has changed", async () => {
  await using tree = await Tree.create('console.log("one");');
  const both = await Promise.all([
    tree.build("--if-needed"),
    tree.build("--if-needed"),
  ]);
  assertEquals(both.map(({ success }) => success), [true, true]);
  const built = both.filter(({ stdout }) => stdout.startsWith("build:"));
  assertEquals(built.length, 1);
  assertEquals((await tree.program()).output, "one");

  await tree.write('console.log("two");');
  await tree.build("--if-needed");
  assertEquals((await tree.program()).output, "two");
});

Deno.test("build.ts makes equal programs of equal files", async () => {
  const programs = [];
  for (let i = 0; i < 2; i++) {
    await using tree = await Tree.create('console.log("one");');
    await tree.build();
    programs.push(await Deno.readFile(`${tree.path}/dist/tend`));
  }
  const [first, second] = programs;
  assert(first !== undefined && second !== undefined);
  assertEquals(first.length, second.length);
  assert(first.every((byte, i) => byte === second[i]));
});

Deno.test("build.ts says what is wrong and leaves the former program when it fails", async () => {
  await using tree = await Tree.create('console.log("one");');
  await tree.build();
  await tree.write('import "./not_there.ts";');
  const { success, output } = await tree.build();
  assert(!success);
  assertStringIncludes(output, "build: deno bundle failed.");
  assertStringIncludes(output, "not_there.ts");
  assert(!/\n +at .*scripts/.test(output), output);
  assertEquals((await tree.program()).output, "one");
});

Deno.test("build.ts refuses an argument that it does not know", async () => {
  await using tree = await Tree.create("");
  const { success, output } = await tree.build("--if-neded");
  assert(!success);
  assertEquals(
    output,
    "build: The only argument that it takes is --if-needed.",
  );
});
