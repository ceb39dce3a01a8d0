/**
 * `tend status`: shows what daemons are.
 *
 * @module
 */
import { fromBytes } from "../../ffi/c_string.ts";
import { getenv } from "../../ffi/environment.ts";
import { isTerminal, terminalColumns } from "../../ffi/terminal.ts";
import { LibcError } from "../../ffi/libc.ts";
import { lookAt } from "../daemon_look.ts";
import {
  commandLineOf,
  type DaemonState,
  type DaemonView,
  viewOf,
} from "../daemon_state.ts";
import { CANNOT_TELL } from "../look_error.ts";
import { type TreeUsage, treeUsages } from "../process_tree.ts";
import { print } from "./print.ts";
import { statusTable, type TableStyle } from "./status_table.ts";
import { readTargets, type Target, TARGET_OPTIONS, TARGETS } from "./target.ts";
import type { Verb } from "./verb.ts";

const STDOUT = 1;

/** What is known of a daemon that is named. */
export interface DaemonStatus extends Target {
  /** What the locks and its monitor say. */
  readonly view: DaemonView;
  /** What it takes, if it can be seen. */
  readonly usage: TreeUsage | undefined;
  /** Its command with the arguments. */
  readonly command: readonly string[];
}

/** The exit statuses of the Linux Standard Base. */
const STATUS_OF: Record<DaemonState, 0 | 1 | 3 | 4> = {
  running: 0,
  starting: 0,
  notReady: 0,
  hung: 0,
  timedOut: 0,
  restarting: 0,
  stopping: 0,
  clearing: 1,
  backingOff: 1,
  ended: 1,
  stale: 1,
  stopped: 3,
  unknown: 4,
};

/** `tend status`. */
export const statusVerb: Verb<typeof TARGET_OPTIONS[number]["name"]> = {
  name: "status",
  summary: "show what daemons are doing",
  description:
    `Shows a line for each TARGET. Whether a daemon runs is told by the lock of its
pidfile; the rest is what its monitor has noted and what /proc shows.

The state is running, starting, restarting or stopping; clearing, while it has
ended and what it has left has not; backing off, between a crash and the next
start; ended, when its monitor has not seen that yet; stale,
when it has left a pidfile; stopped; or unknown. Unmonitored says that no tend
would start it again.

The uptime is that of the daemon's process. Restarts are those after crashes
and by tend restart under this monitor, which tells the last end, too. Memory
is what is resident, of the daemon and all processes below it; what several of
them share counts for each. CPU is the processor time of all these as a part of
the uptime.

With --json an array is printed, of an object for each TARGET: name, pidfile,
state, pid, monitor, remark, uptime (s), crashes, restarts, lastEnd, lastStart,
backingOffUntil, memory (bytes), cpu (s), processes, command, logFile, outputs:
the files that take what it writes, how many older ones there may be, and the
process that writes to them for it. Times of day are milliseconds since 1970,
and the state is one word, as backingOff. What is not known is null.`,
  groups: [{ title: "Options", options: TARGET_OPTIONS }],
  operands: TARGETS,
  statuses: [
    ["0", "all of them run; else the highest of"],
    ["1", "one does not run, and has left a pidfile"],
    ["2", "wrong usage"],
    ["3", "one does not run"],
    ["4", "of one it cannot be told"],
  ],
  examples: [
    ["tend status web", "shows the daemon of RUNDIR/web.pid"],
    ["tend status --all", "shows all daemons of RUNDIR"],
    ["tend status --json /srv/db.pid", "prints all that is known of one"],
  ],
  // All others say something of a daemon.
  failure: CANNOT_TELL,
  run: (call) => {
    const targets = readTargets(call);
    // Once for all, and before it is asked for what they take.
    const views = targets.map(({ pidfile }) => viewOf(lookAt(pidfile)));
    const usageOf = views.some(({ pid }) => pid !== undefined)
      ? usagesIfAny()
      : () => undefined;
    const statuses = targets.map((target, i): DaemonStatus => {
      const view = views[i]!;
      return {
        ...target,
        view,
        usage: view.pid === undefined ? undefined : usageOf(view.pid),
        command: commandOf(view),
      };
    });
    print(
      call.given.some(({ name }) => name === "json")
        ? `${JSON.stringify(statuses.map(toObject), null, 2)}\n`
        : statusTable(statuses, tableStyle()),
    );
    return Math.max(0, ...views.map(({ state }) => STATUS_OF[state]));
  },
};

/** What it takes is less than what it is, and may be unknown. */
function usagesIfAny(): (pid: number) => TreeUsage | undefined {
  const usageOf = orUndefined(treeUsages);
  return (pid) => orUndefined(() => usageOf?.(pid));
}

function orUndefined<T>(ask: () => T): T | undefined {
  try {
    return ask();
  } catch (error) {
    if (error instanceof LibcError) return undefined;
    throw error;
  }
}

function commandOf({ pid, record }: DaemonView): readonly string[] {
  if (record !== undefined) return record.command;
  const line = pid === undefined ? "" : commandLineOf(pid);
  return line === "" ? [] : line.split(" ");
}

function toObject(
  { name, pidfile, view, usage, command }: DaemonStatus,
): Record<string, unknown> {
  const { state, pid, monitor, record, remark } = view;
  const lastStart = record?.lastStart;
  return {
    name,
    pidfile,
    state,
    pid: pid ?? null,
    monitor: monitor ?? null,
    remark: remark ?? null,
    uptime: usage === undefined ? null : Math.round(usage.uptime * 100) / 100,
    crashes: record?.crashes ?? null,
    restarts: record?.restarts ?? null,
    lastEnd: record?.lastEnd === undefined ? null : {
      ...record.lastEnd,
      uptime: record.lastEnd.uptime ?? null,
    },
    lastStart: lastStart === undefined
      ? null
      : { ...lastStart, text: lastStart.text ?? null },
    backingOffUntil: record?.backingOffUntil ?? null,
    memory: usage?.memory ?? null,
    cpu: usage?.cpu ?? null,
    processes: usage?.processes ?? null,
    command,
    logFile: record?.logFile ?? null,
    outputs: record?.outputs.map((output) => ({
      ...output,
      file: fromBytes(output.file),
      logger: output.logger ?? null,
      trouble: output.trouble ?? null,
    })) ?? null,
  };
}

/** A terminal that does not know its width may have it in the environment. */
function tableStyle(): TableStyle {
  if (!isTerminal(STDOUT)) return { width: Infinity, isColoured: false };
  const width = terminalColumns(STDOUT) ?? (Number(variable("COLUMNS")) || 80);
  const isColoured = variable("NO_COLOR") === "" && variable("TERM") !== "dumb";
  return { width, isColoured };
}

function variable(name: string): string {
  const value = getenv(name);
  return value === undefined ? "" : fromBytes(value);
}
