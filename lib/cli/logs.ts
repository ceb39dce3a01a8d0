/**
 * `tend logs`: shows what daemons have written.
 *
 * @module
 */
import { type CString, fromBytes, toBytes } from "../../ffi/c_string.ts";
import { close, writeFully } from "../../ffi/descriptor.ts";
import { Errno, LibcError } from "../../ffi/libc.ts";
import { Signal } from "../../ffi/signal.ts";
import { geteuid } from "../../ffi/user.ts";
import { bootTime, waitReadable } from "../../ffi/wait.ts";
import { absolutePath } from "../../ffi/working_directory.ts";
import { ActionFailure } from "../action.ts";
import { awaitEnd } from "../await_daemon.ts";
import { lookAt } from "../daemon_look.ts";
import { type DaemonOutput, outputsOf } from "../daemon_outputs.ts";
import { viewOf } from "../daemon_state.ts";
import { dieOf } from "../fatal_signal.ts";
import { LogFollower } from "../log_follower.ts";
import { CANNOT_TELL, LookError } from "../look_error.ts";
import { openTail } from "../log_tail.ts";
import { type GivenOption, lastValue, UsageError } from "../options.ts";
import { oneLine } from "../vlog.ts";
import { hasEnded, hold } from "../proven_process.ts";
import { allEnd, type Job, type Pause } from "../together.ts";
import { setLevels } from "../vlog_levels.ts";
import { complain, raiseDescriptorLimit } from "./action_verb.ts";
import { parseTarget } from "./target.ts";
import type { Verb, VerbCall } from "./verb.ts";

const STDOUT = 1;
const DEFAULT_LINES = 10;
/** So long a logger has to write what the daemon wrote last: disks may be slow. */
const LAST_LINES_MS = 5_000;

const OPTIONS = [
  {
    name: "follow",
    letter: "f",
    value: "none",
    help: "go on with what comes, until the daemon and its\n" +
      "monitor have ended; with --file for ever",
  },
  {
    name: "lines",
    letter: "n",
    value: "required",
    placeholder: "N",
    help: "begin with the last N lines, or all (default: 10)",
  },
  {
    name: "file",
    value: "required",
    placeholder: "FILE",
    help: "the output of a daemon that does not run any more,\n" +
      "in place of TARGET",
  },
] as const;

type OptionName = typeof OPTIONS[number]["name"];

/** `tend logs`. */
export const logsVerb: Verb<OptionName> = {
  name: "logs",
  summary: "show what a daemon has written",
  description:
    `Shows the last lines of what a daemon has written to the files of --output,
--stdout or --stderr, and, where there are not so many in FILE, of older ones:
FILE.1, FILE.2 and so on. Of stdout and stderr in files of their own each is
shown below its name.

Where the output is its monitor says, also one that was killed or has given up.
Once a daemon was stopped nobody does: name its FILE by --file.

With --follow each line is shown once, whoever renames the files; when one has
gone before it could be shown, that is said. A restart is no end. What
logrotate cuts off by copytruncate may be lost, as for any reader.`,
  groups: [{ title: "Options", options: OPTIONS }],
  operands: {
    synopsis: "[TARGET | --file=FILE]",
    placeholder: "TARGET",
    least: 0,
    most: 1,
  },
  statuses: [
    ["0", "it was shown"],
    ["1", "its output is not kept, or cannot be read"],
    ["2", "wrong usage"],
    ["4", "what the daemon does cannot be told"],
  ],
  examples: [
    ["tend logs web", "shows the last 10 lines of RUNDIR/web.pid's daemon"],
    ["tend logs -f -n 0 web", "shows what it writes from now on"],
    [
      "tend logs --file=web.out",
      "shows the last 10 lines of that, and web.out.1",
    ],
    ["tend logs -n all web | grep -c error", "counts in all that is kept"],
  ],
  run: (call) => {
    const lines = readLines(call.given);
    const isFollowing = call.given.some(({ name }) => name === "follow");
    const source = readSource(call);
    setLevels("console:off");
    raiseDescriptorLimit();
    try {
      const outputs = source.pidfile === undefined
        ? [fileAlone(source.name)]
        : outputsOf(source.pidfile);
      if (isFollowing) follow(source, outputs, lines);
      else show(outputs, lines);
      return 0;
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      complain(source.name, error.message);
      return error instanceof LookError ? CANNOT_TELL : 1;
    }
  },
};

/** What is shown: a daemon's output, or without a pidfile that of a file. */
interface Source {
  readonly name: string;
  readonly pidfile: string | undefined;
}

function readSource(
  { given, operands }: Pick<VerbCall<OptionName>, "given" | "operands">,
): Source {
  const file = lastValue(given, "file");
  const [target] = operands;
  if (file === undefined) {
    if (target !== undefined) return parseTarget(fromBytes(target));
    throw new UsageError("TARGET is missing");
  }
  if (file === "") throw new UsageError("option --file: FILE is missing");
  if (target === undefined) return { name: file, pidfile: undefined };
  throw new UsageError(
    `option --file: it is in place of ${fromBytes(target)}, not beside it`,
  );
}

/** As the monitor of its daemon would say it, if there were one. */
function fileAlone(name: string): DaemonOutput {
  const output: DaemonOutput = {
    streams: "both",
    file: absolutePath(toBytes(name)),
    count: 0,
    logger: undefined,
    trouble: undefined,
    owner: undefined,
    writer: geteuid(),
  };
  const { files, before } = openTail(output, 0);
  [...files, before].forEach((file) => file?.close());
  if (files.length > 0) return output;
  throw new ActionFailure("there is no such file");
}

function readLines(given: readonly GivenOption<OptionName>[]): number {
  const text = lastValue(given, "lines");
  if (text === undefined) return DEFAULT_LINES;
  if (text === "all") return Infinity;
  if (/^\d+$/.test(text)) return Number(text);
  throw new UsageError(
    `option --lines=${text}: not a number of lines, and not all`,
  );
}

function show(outputs: readonly DaemonOutput[], lines: number): void {
  const write = writer(outputs);
  for (const output of outputs) {
    for (const file of openTail(output, lines).files) {
      // No more: who writes faster than we would hold us for ever.
      let left = file.sizeThen - file.position;
      for (let block; left > 0 && (block = file.read()) !== undefined;) {
        write(output, block.subarray(0, left));
        left -= block.length;
      }
    }
  }
}

function follow(
  { name, pidfile }: Source,
  outputs: readonly DaemonOutput[],
  lines: number,
): void {
  const write = writer(outputs);
  const followers = outputs.map((output) => ({
    output,
    follower: new LogFollower(output, openTail(output, lines), () => {
      complain(
        name,
        `${fromBytes(output.file)}: files of it have been ` +
          "rotated away before they could be shown",
      );
    }),
  }));
  // Else its end cannot be seen from here.
  const isHere = pidfile !== undefined && !viewOf(lookAt(pidfile)).isElsewhere;
  const end = isHere ? endOf(name, pidfile, outputs) : undefined;
  let step = end?.next();
  for (;;) {
    // What was written before the end is there when that is seen.
    for (const { output, follower } of followers) {
      follower.look((block) => write(output, block));
    }
    if (step?.done) return;
    const pauses = followers.map(({ follower }) => follower.next);
    if (step !== undefined) pauses.push(step.value);
    const ready = waitFor(pauses);
    if (step === undefined || end === undefined) continue;
    const { fds, until } = step.value;
    if (until <= bootTime() || fds.some((fd) => ready.includes(fd))) {
      step = end.next();
    }
  }
}

/** Waits until all is written. */
function* endOf(
  name: string,
  pidfile: string,
  outputs: readonly DaemonOutput[],
): Job<void> {
  const loggers = outputs.flatMap(({ logger }) =>
    logger ? hold(logger) ?? [] : []
  );
  try {
    yield* awaitEnd(pidfile, Infinity);
    // Each ends by itself then, unless a child of the daemon's still writes.
    const pidfds = loggers.map(({ pidfd }) => pidfd);
    if (yield* allEnd(pidfds, bootTime() + LAST_LINES_MS)) return;
    const pids = loggers.filter((logger) => !hasEnded(logger));
    complain(
      name,
      `has ended, and logger pid ${
        pids.map(({ pid }) => pid).join(", ")
      } goes on: what that writes is not shown any more`,
    );
  } finally {
    loggers.forEach(({ pidfd }) => close(pidfd));
  }
}

/** Waits for any of these, and for the end of whoever reads what we write. */
function waitFor(pauses: readonly Pause[]): number[] {
  const until = Math.min(...pauses.map(({ until }) => until));
  const timeout = until === Infinity
    ? -1
    : Math.max(0, Math.ceil(until - bootTime()));
  const fds = pauses.flatMap(({ fds }) => fds);
  const ready = waitReadable(fds, timeout, [STDOUT]) ?? [];
  if (ready.includes(STDOUT)) dieOf(Signal.SIGPIPE);
  return ready;
}

/** Writes to stdout. Of several files each part says which it is from. */
function writer(
  outputs: readonly DaemonOutput[],
): (output: DaemonOutput, block: Uint8Array<ArrayBuffer>) => void {
  let last: DaemonOutput | undefined;
  return (output, block) => {
    if (outputs.length > 1 && output !== last) {
      const space = last === undefined ? "" : "\n";
      writeOut(`${space}==> ${oneLine(fromBytes(output.file))} <==\n`);
      last = output;
    }
    writeOut(block);
  };
}

/** Who has closed the other end wants no more, and no message about it. */
function writeOut(bytes: CString): void {
  try {
    writeFully(STDOUT, bytes);
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    if (error.errno === Errno.EPIPE) dieOf(Signal.SIGPIPE);
    throw new Error(`standard output: ${error.message}`, { cause: error });
  }
}
