import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { Sandbox, TEND } from "../sandbox.ts";

const MODES = [
  [],
  ["--monitor", "-voff"],
  ["--detach"],
  ["--detach", "--monitor"],
];

/** Has COMMAND write its arguments to a file, NUL after each. */
const SAY = '#!/bin/sh\nprintf "%s\\0" "$@" >"$SAID.part"\n' +
  'mv "$SAID.part" "$SAID"\n';

/** Runs tend to its end, and returns what COMMAND says. */
async function said(box: Sandbox, argv: string[]): Promise<Uint8Array> {
  Deno.writeTextFileSync(box.path("say"), SAY, { mode: 0o755 });
  const SAID = box.path("said");
  const { code, stderr } = await box.run(argv, { env: { SAID } });
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  await box.until("it is said", () => box.exists(SAID));
  return Deno.readFileSync(SAID);
}

/** What must reach COMMAND: no UTF-8, or hardly. As sh's printf has it. */
const ARGUMENTS = [
  "\\377",
  "a\\300\\200b",
  "\\355\\240\\200",
  "\\303\\244",
  "\\303",
  "\\357\\277\\275",
  "\\001\\n\\033",
];

for (const mode of MODES) {
  const title = ["tend", ...mode].join(" ");

  Deno.test(`${title} passes on arguments that are not UTF-8, byte for byte`, async () => {
    await using box = await Sandbox.create();
    const quoted = ARGUMENTS.map((format) => `"$(printf '${format}')"`);
    const script = `exec "$@" ${quoted.join(" ")}`;
    assertEquals(
      await said(box, ["sh", "-c", script, "sh", TEND, ...mode, "./say"]),
      Uint8Array.from(ARGUMENTS.flatMap((format) => [...bytesOf(format), 0])),
    );
  });

  Deno.test(`${title} runs a COMMAND whose name is not UTF-8`, async () => {
    await using box = await Sandbox.create();
    const script = 'd=$(printf "d\\377"); mkdir "$d"; mv say "$d"; ' +
      'exec "$@" "$d/say" a';
    const bytes = await said(box, ["sh", "-c", script, "sh", TEND, ...mode]);
    assertEquals(bytes, new TextEncoder().encode("a\0"));
  });

  Deno.test(`${title} passes on 20,000 arguments`, async () => {
    await using box = await Sandbox.create();
    const args = Array.from({ length: 20_000 }, (_, i) => `argument ${i}`);
    const bytes = await said(box, [TEND, ...mode, "./say", ...args]);
    const text = new TextDecoder().decode(bytes);
    // Not assertEquals(), which would print them.
    assert(text === args.map((arg) => `${arg}\0`).join(""));
  });
}

/** The bytes that `printf` makes of a format. */
function bytesOf(format: string): number[] {
  return (format.match(/\\\d{3}|\\n|./g) ?? []).map((part) => {
    if (part === "\\n") return 10;
    return part.length === 1 ? part.charCodeAt(0) : parseInt(part.slice(1), 8);
  });
}
