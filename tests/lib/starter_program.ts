/**
 * What `starter_test.ts` compiles and runs: starts a command with a pidfile
 * several times, and says how each start came out, and whether the pidfile is
 * the same file as before.
 *
 * @module
 */
import { toBytes } from "../../ffi/c_string.ts";
import { waitpid } from "../../ffi/child.ts";
import { setCloseOnExec } from "../../ffi/descriptor.ts";
import { execvp } from "../../ffi/exec.ts";
import { exitNow, kill } from "../../ffi/process.ts";
import { Signal } from "../../ffi/signal.ts";
import { makePidfile } from "../../lib/pidfile.ts";
import { readPidfile } from "../../lib/pidfile_state.ts";
import type { MonitorState } from "../../lib/monitor_state.ts";
import { Starter } from "../../lib/starter.ts";
import { readStartup } from "../../lib/startup.ts";
import { Random } from "../random.ts";
import { anyState } from "./any_state.ts";

const [pidfile, how] = Deno.args as [string, string];
const state: MonitorState = {
  ...anyState(new Random(0)),
  ready: undefined,
  watchdog: undefined,
  loggers: [],
  policy: how === "does not restart" ? "no" : "on-crash",
  command: {
    path: toBytes("/bin/sleep"),
    argv: [toBytes("sleep"), toBytes("600")],
    ignored: [],
    surroundings: undefined,
    outputs: undefined,
  },
  pidfile,
  overwritePidfile: how === "overwrites",
  everReady: false,
  coreDumped: false,
};
const starter = new Starter(state, undefined);

/** Starts a daemon, and kills it when it is ready. */
function startOne(): unknown {
  const before = inode();
  const start = starter.start(state);
  if (start.kind === "child") {
    const fd = makePidfile(pidfile, state.overwritePidfile);
    setCloseOnExec(fd, false);
    execvp("sleep", ["sleep", "600"]);
    exitNow(99);
  }
  const kind = start.kind === "started"
    ? readStartup(start.pid, start.startupFd, starter.forks).kind
    : start.kind;
  const isRight = readPidfile(pidfile) === start.pid;
  kill(start.pid, Signal.SIGKILL);
  waitpid(start.pid);
  state.everReady = true;
  const { isPrepared } = starter;
  return [start.kind, kind, isRight, inode() === before, isPrepared];
}

function inode(): number | null | undefined {
  try {
    return Deno.statSync(pidfile).ino;
  } catch {
    return undefined;
  }
}

const starts = [startOne(), startOne(), startOne()];
Deno.removeSync(pidfile);
starts.push(startOne(), startOne());
console.log(JSON.stringify(starts));
exitNow(0);
