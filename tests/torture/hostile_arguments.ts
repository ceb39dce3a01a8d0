/**
 * Commands' names, arguments and environments of any bytes, which have to reach
 * the command.
 *
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { Random } from "../random.ts";
import { Sandbox, TEND } from "../sandbox.ts";
import type { Budget, Row } from "./row.ts";
import { Tally } from "./tally.ts";

/** At least so often, however little time there is. */
const LEAST = 4;

/** Says what it was given, as the kernel has it. */
const SAY = `#!/bin/sh
exec 3>"$OUT.part"
cat /proc/self/environ >&3; printf '\\n=\\n' >&3; tr '\\0' '\\001' </proc/$$/cmdline >&3
mv "$OUT.part" "$OUT"
`;

const MODES: readonly (readonly string[])[] = [
  [],
  ["--detach"],
  ["--monitor", "-v=console:off"],
  ["--detach", "--monitor", "--pidfile=web.pid", "--sleep-after=0"],
];

/** Tries bytes at random. */
export async function hostileArguments(
  { seconds, seed }: Pick<Budget, "seconds" | "seed">,
): Promise<Row[]> {
  const row = new Tally("names, arguments and environments of any bytes");
  const deadline = Date.now() + seconds * 100;
  for (let i = 0; i < LEAST || Date.now() < deadline; i++) {
    const mode = MODES[i % MODES.length]!;
    await row.attempt(
      `TEND_TEST_SEED=${seed}, ${i}: ${mode.join(" ")}`,
      () => tryBytes(new Random(seed + i), mode),
    );
  }
  return [row];
}

async function tryBytes(
  random: Random,
  mode: readonly string[],
): Promise<void> {
  await using box = await Sandbox.create();
  const bytes = () =>
    Array.from({ length: random.below(40) }, () => 1 + random.below(255));
  const args = Array.from({ length: random.below(9) }, bytes);
  // Nothing that a shell makes its own; a name of any bytes but "=".
  const variables = Array.from(
    { length: random.below(5) },
    (_, i) => [...`A${i}`].map((c) => c.charCodeAt(0)).concat(61, bytes()),
  );
  // No "/"; and a letter, so that it is no directory.
  const name = bytes().filter((byte) => byte !== 47).concat(120);
  const command = [...box.path("")].map((c) => c.charCodeAt(0)).concat(name);
  const words = [...variables, command, ...args];
  Deno.writeTextFileSync(box.path("say"), SAY, { mode: 0o755 });
  const OUT = box.path("out");
  const octal = (word: readonly number[]) =>
    word.map((byte) => `\\${byte.toString(8).padStart(3, "0")}`).join("");
  // sh's "$(…)" takes away line feeds at the end: so a letter stands behind.
  const quoted = (word: readonly number[]) =>
    `"$(w=$(printf '${octal(word)}.'); printf '%s.' "\${w%.}")"`;
  const script = `${
    words.map((word, i) => `w${i}=${quoted(word)}; w${i}=\${w${i}%.}`).join(
      "\n",
    )
  }
mv "$1" "$w${variables.length}"; shift
exec env ${variables.map((_, i) => `"$w${i}"`).join(" ")} "$@" ${
    words.slice(variables.length)
      .map((_, i) => `"$w${i + variables.length}"`).join(" ")
  }`;
  const { code, stderr } = await box.run(
    ["sh", "-c", script, "sh", box.path("say"), TEND, ...mode, "--"],
    { env: { OUT } },
  );
  assertEquals([code, stderr], [0, ""]);
  await box.until("it is said", () => box.exists(OUT));
  const said = latin1(Deno.readFileSync(OUT));
  const [environment = "", cmdline = ""] = said.split("\n=\n");
  const text = (word: readonly number[]) => String.fromCharCode(...word);
  assertEquals(
    environment.split("\0").filter((entry) => /^A\d=/.test(entry)),
    variables.map(text),
  );
  assertEquals(
    // The kernel puts the interpreter and the script before them.
    cmdline,
    ["/bin/sh", text(command), ...args.map(text), ""].join("\x01"),
  );
}

function latin1(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
}
