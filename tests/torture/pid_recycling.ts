/**
 * Pids that are used again at once: in a PID namespace whose next pid is chosen,
 * others get those that daemons and monitors have had. Nobody signals them.
 *
 * @module
 */
import { assert } from "@std/assert/assert";
import { CONFIG, ROOT } from "../program.ts";
import { Sandbox } from "../sandbox.ts";
import { type Budget, leftOutRow, type Row } from "./row.ts";
import { Tally } from "./tally.ts";

const UNSHARE = [
  "unshare",
  ...(Deno.uid() === 0 ? [] : ["--user", "--map-root-user"]),
  ...["--pid", "--mount", "--fork", "--mount-proc"],
];

/** Whether the next pid cannot be chosen here. */
const CANNOT_CHOOSE = !new Deno.Command(UNSHARE[0]!, {
  args: [
    ...UNSHARE.slice(1),
    ...["sh", "-c", "echo 300 >/proc/sys/kernel/ns_last_pid"],
  ],
  stderr: "null",
}).outputSync().success;

/** One way to come to a pid that is another's by now. */
export interface Turn {
  /** What was done. */
  readonly what: string;
  /** What was wrong, if anything. */
  readonly failure: string | undefined;
}

/** Tries pids that are another's by now. */
export async function pidRecycling(
  { seconds, seed }: Budget,
): Promise<Row[]> {
  const what = "pids that are another's by now: nobody is signalled";
  if (CANNOT_CHOOSE) {
    return [leftOutRow(what, "needs a PID namespace and ns_last_pid")];
  }
  const row = new Tally(what);
  await using box = await Sandbox.create();
  const program = `${ROOT}/tests/torture/pid_recycling_turns.ts`;
  const { code, stdout, stderr } = await box.run([
    ...["timeout", "--signal=KILL", `${Math.ceil(seconds) + 120}`],
    // A shell comes first: it waits for whom nobody else waits for.
    ...[...UNSHARE, "bash", "-c", '"$@"; exit $?', "bash"],
    ...[Deno.execPath(), "run", "--quiet", "-A"],
    ...[`--config=${CONFIG}`, program, `${seconds}`, `${seed}`],
  ], { env: { NO_COLOR: "1" } });
  assert(code === 0, stderr);
  const turns: Turn[] = JSON.parse(stdout);
  assert(turns.length > 0);
  for (const { what, failure } of turns) {
    row.note(failure && `${what}: ${failure}`);
  }
  return [row];
}
