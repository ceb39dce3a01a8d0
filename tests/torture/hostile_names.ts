/**
 * Names of files that are too long, or hold what no name should.
 *
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { Sandbox, TEND } from "../sandbox.ts";
import type { Budget, Row } from "./row.ts";
import { drawn } from "./drawn.ts";
import { Tally } from "./tally.ts";

/** The longest name of a file; `.tmp` and `.monitor` come behind a pidfile's. */
const NAME_MAX = 255;

/** Names as sh's printf has them. */
const NAMES: readonly string[] = [
  ...[NAME_MAX, 1, 0, -3, -4, -7, -8, -9].map((more) =>
    "x".repeat(NAME_MAX + more)
  ),
  `${"d/".repeat(2100)}x`,
  "a\\nb",
  "\\n",
  "a\\033[31mb",
  "\\377\\376",
  "\\303",
  "a\\300\\200b",
  "\\357\\273\\277web",
  " ",
  "-",
  "--",
  "..",
  ".",
  "a/",
  "%%s%%n",
  "\\047\\042$(touch touched)`touch touched`",
];

const OPTIONS = ["--pidfile=", "--log-file=", "--name=", "--output="]
  .concat("--env=A=", "--env-file=", "--chdir=", "--on-crash=: ")
  .concat("--ready=file=", "--ready=unix=");

/** Tries names that are hardly any. */
export async function hostileNames(
  budget: Budget,
): Promise<Row[]> {
  const cases = OPTIONS.flatMap((option) =>
    NAMES.map((name) => ({ option, name }))
  );
  const row = new Tally("names that are too long, or no text", cases.length);
  for (const { option, name } of drawn(cases, budget)) {
    const shown = name.length > 40 ? `${name.length} letters` : name;
    await row.attempt(`${option}${shown}`, () => tryName(option, name));
  }
  return [row];
}

async function tryName(option: string, name: string): Promise<void> {
  await using box = await Sandbox.create();
  Deno.mkdirSync(box.path("run"));
  const file = option === "--name=" ? ["--pidfile", "--log-file"] : [];
  const script =
    `word=$(printf -- '${option}${name}.'); word=\${word%.}; exec "$@" "$word" -- find "$0" -fprint0 "$0/seen"`;
  const { code, stderr } = await box.run([
    ...["sh", "-c", script, box.dir, "timeout", "--signal=KILL", "20"],
    ...[TEND, "--monitor", "-v=console:err", ...file],
  ]);
  assert(code === 0 || code === 1 || code === 2, `status ${code}: ${stderr}`);
  if (code !== 0) {
    // One line, whatever the name holds.
    assert(/^tend: .+\n$/.test(stderr), stderr);
    // deno-lint-ignore no-control-regex
    assert(!/[\0-\x09\x0b-\x1f]/.test(stderr), JSON.stringify(stderr));
  } else {
    const paths = latin1(Deno.readFileSync(box.path("seen"))).split("\0");
    const made = namesMade(option, bytesOf(name));
    const missing = made.filter((end) =>
      !paths.some((path) => path.endsWith(`/${end}`))
    );
    assertEquals(missing, [], `not there: ${JSON.stringify(paths)}`);
  }
  assertEquals([box.processes(), box.runFiles()], [[], []]);
  assertEquals(box.exists(box.path("touched")), false);
}

/** The names of files that an option has tend make, byte by byte. */
function namesMade(option: string, name: string): string[] {
  switch (option) {
    case "--pidfile=":
      return [name, `${name}.monitor`];
    case "--log-file=":
    case "--output=":
      return [name];
    case "--name=":
      return [`${name}.pid`, `${name}.pid.monitor`, `${name}.log`];
    default:
      return [];
  }
}

/** What sh's printf makes of a name, a letter for each byte. */
function bytesOf(name: string): string {
  return name.replaceAll("%%", "%").replace(
    /\\(n|[0-7]{3})/g,
    (_, code) => code === "n" ? "\n" : String.fromCharCode(parseInt(code, 8)),
  );
}

function latin1(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
}
