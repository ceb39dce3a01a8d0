import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { environ, getenv, setenv, unsetenv } from "../../ffi/environment.ts";
import { Errno, LibcError } from "../../ffi/libc.ts";
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
  Deno.test(`getenv() is what setenv() was given: ${what}`, () => {
    setenv(NAME, value);
    assertEquals(textOf(NAME), value);
    assertEquals(Deno.env.get(NAME), value);
    unsetenv(NAME);
  });
}

Deno.test("setenv() replaces a value", () => {
  setenv(NAME, "a long value");
  setenv(NAME, "b");
  assertEquals(textOf(NAME), "b");
  unsetenv(NAME);
});

Deno.test("unsetenv() removes a variable, and takes one that is not set", () => {
  setenv(NAME, "a");
  for (let i = 0; i < 2; i++) {
    unsetenv(NAME);
    assertEquals([getenv(NAME), Deno.env.get(NAME)], [undefined, undefined]);
  }
});

Deno.test("getenv() is undefined for what is not set, and for no name at all", () => {
  assertEquals([getenv("TEND_TEST_NOT_SET"), getenv("")], [
    undefined,
    undefined,
  ]);
});

Deno.test("getenv() sees what Deno.env has set", () => {
  Deno.env.set(NAME, "deno's");
  assertEquals(textOf(NAME), "deno's");
  Deno.env.delete(NAME);
  assertEquals(getenv(NAME), undefined);
});

for (const name of ["", "a=b"]) {
  Deno.test(`setenv() and unsetenv() refuse the name ${JSON.stringify(name)}`, () => {
    for (const call of [() => setenv(name, "a"), () => unsetenv(name)]) {
      const error = assertThrows(call, LibcError);
      assertEquals(error.errno, Errno.EINVAL);
    }
  });
}

Deno.test("setenv() refuses a NUL, and sets nothing", () => {
  assertThrows(() => setenv(NAME, "a\0b"), TypeError);
  assertThrows(() => setenv(`${NAME}\0`, "a"), TypeError);
  assertEquals(getenv(NAME), undefined);
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
  setenv(NAME, "a value");
  const list = new Deno.UnsafePointerView(environ()!);
  const entries: string[] = [];
  for (let i = 0;; i++) {
    const entry = list.getPointer(8 * i);
    if (entry === null) break;
    entries.push(new Deno.UnsafePointerView(entry).getCString());
  }
  unsetenv(NAME);
  assertEquals(entries.filter((entry) => entry.startsWith(`${NAME}=`)), [
    `${NAME}=a value`,
  ]);
});
