import { assertEquals } from "@std/assert/equals";
import { environ, getenv } from "../../ffi/environment.ts";
import { ask, ROOT } from "../program.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

const NAME = "TEND_TEST_ENVIRONMENT";

function textOf(name: string): string | undefined {
  const value = getenv(name);
  return value && new TextDecoder().decode(value);
}

for (const value of ["", "a", "a=b", "é\n\t ", "x".repeat(100_000)]) {
  const what = JSON.stringify(value.slice(0, 9));
  Deno.test(`getenv() is what Deno.env has set: ${what}`, () => {
    Deno.env.set(NAME, value);
    assertEquals(textOf(NAME), value);
    Deno.env.delete(NAME);
    assertEquals(getenv(NAME), undefined);
  });
}

Deno.test("getenv() is undefined for what is not set, and for no name at all", () => {
  assertEquals([getenv("TEND_TEST_NOT_SET"), getenv("")], [
    undefined,
    undefined,
  ]);
});

Deno.test("getenv() is the value's bytes, and needs no permission for the environment", async () => {
  await using box = await Sandbox.create();
  const answer = await ask(
    box,
    `
    import { getenv } from "${ROOT}/ffi/environment.ts";
    console.log(JSON.stringify([...getenv("BAD")]));`,
    {
      under: ["sh", "-c", 'BAD=$(printf "x\\377y") exec "$@"', "sh"],
      deno: ["--allow-ffi"],
    },
  );
  assertEquals(JSON.parse(answer), [0x78, 0xff, 0x79]);
});

Deno.test("environ() is an array of NAME=VALUE that ends in NULL", () => {
  Deno.env.set(NAME, "a value");
  const list = new Deno.UnsafePointerView(environ()!);
  const entries: string[] = [];
  for (let i = 0;; i++) {
    const entry = list.getPointer(8 * i);
    if (entry === null) break;
    entries.push(new Deno.UnsafePointerView(entry).getCString());
  }
  Deno.env.delete(NAME);
  assertEquals(entries.filter((entry) => entry.startsWith(`${NAME}=`)), [
    `${NAME}=a value`,
  ]);
});

/** Starts a program with some entries, and no others but those Deno needs. */
const WITH_ENTRIES = `
import { execve } from "${ROOT}/ffi/exec.ts";
const [path, entries, ...argv] = Deno.args;
execve(path, [path, ...argv], JSON.parse(entries));`;

/**
 * What a program says of its environment that has begun with some entries. What
 * Deno 2.9 adds of its own is left out.
 */
async function askWith(entries: string[], source: string): Promise<unknown> {
  await using box = await Sandbox.create();
  const program = box.path("program.ts");
  const home = Deno.env.get("HOME") ?? "/";
  const env = [`HOME=${home}`, "NO_COLOR=1", ...entries];
  Deno.writeTextFileSync(
    program,
    `import { environment, initialEnvironment, takeEntry }
       from "${ROOT}/ffi/environment.ts";
     const text = (bytes) => bytes && new TextDecoder().decode(bytes);
     const all = (list) => list.map(text)
       .filter((entry) => !/^(HOME|NO_COLOR|PATH|DENO_\\w+)=/.test(entry));
     ${source}`,
  );
  const argv = ["run", "--quiet", "--allow-ffi", program];
  const args = [Deno.execPath(), JSON.stringify(env), ...argv];
  return JSON.parse(await ask(box, WITH_ENTRIES, { args }));
}

Deno.test("takeEntry() takes an entry that is no variable out of the middle, and wipes it", async () => {
  assertEquals(
    await askWith(
      ["A=1", "MARK:it is", "MARKER=2", "B=3"],
      `const before = all(environment());
       const taken = text(takeEntry("MARK:"));
       const again = takeEntry("MARK:") === undefined;
       console.log(JSON.stringify({ before, taken, again,
         left: all(environment()), initial: all(initialEnvironment()).filter(Boolean) }));`,
    ),
    {
      before: ["A=1", "MARK:it is", "MARKER=2", "B=3"],
      taken: "it is",
      again: true,
      left: ["A=1", "MARKER=2", "B=3"],
      initial: ["A=1", "MARKER=2", "B=3"],
    },
  );
});

Deno.test("takeEntry() takes the last entry, and one of nothing else", async () => {
  assertEquals(
    await askWith(
      ["A=1", "MARK:"],
      `const taken = text(takeEntry("MARK:"));
       console.log(JSON.stringify([taken, all(environment())]));`,
    ),
    ["", ["A=1"]],
  );
});

Deno.test("takeEntry() takes nothing that does not begin so, and leaves all as it is", async () => {
  assertEquals(
    await askWith(
      ["A=MARK:", "MAR"],
      `const none = takeEntry("MARK:") === undefined;
       console.log(JSON.stringify([none, all(environment())]));`,
    ),
    [true, ["A=MARK:", "MAR"]],
  );
});
