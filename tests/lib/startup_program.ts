/**
 * What `startup_test.ts` compiles and runs: forks, and does in the child what
 * its argument names. The parent says what it heard.
 *
 * @module
 */
import { addExitHook, exit } from "../../lib/fatal_signal.ts";
import { waitpid } from "../../ffi/child.ts";
import { execvp } from "../../ffi/exec.ts";
import { setSignalMask, Signal, signalfd } from "../../ffi/signal.ts";
import { makePidfile } from "../../lib/pidfile.ts";
import { readPidfile } from "../../lib/pidfile_state.ts";
import {
  forkAndCleanUp,
  forkAndWaitForStartup,
  forkNotifyStartup,
} from "../../lib/startup.ts";
import { exitNow, getpid, kill } from "../../ffi/process.ts";
import { waitReadable } from "../../ffi/wait.ts";

/** What the child does with the descriptor for its notification. */
const CHILDREN: Record<string, (notifyFd: number) => void> = {
  notifies: (fd) => {
    forkNotifyStartup(fd);
    waitReadable([signalfd([])]);
  },
  execs: () => execvp("sleep", ["sleep", "600"]),
  "execs and exits": () => execvp("true", ["true"]),
  "exits with 7": () => exitNow(7),
  "exits with 0": () => exitNow(0),
  "is killed": () => kill(getpid(), Signal.SIGKILL),
  "is killed by a signal passed on": () => waitReadable([signalfd([])]),
};

function startAndSay(name: string): void {
  const signalFd = signalfd([Signal.SIGUSR1]);
  setSignalMask([Signal.SIGUSR1]);
  if (name.endsWith("passed on")) kill(getpid(), Signal.SIGUSR1);
  const forked = forkAndWaitForStartup({
    role: "daemon",
    coreDumped: false,
    image: undefined,
  }, signalFd);
  if (forked.role === "child") {
    setSignalMask([]);
    CHILDREN[name]!(forked.notifyFd);
    exitNow(99);
  }
  const { pid, startup } = forked;
  say(startup);
  if (startup.kind === "ready") {
    kill(pid, Signal.SIGKILL);
    waitpid(pid);
  }
  exitNow(0);
}

/** The hooks go over to the child; the parent has forgotten them. */
function forkWithHook(): void {
  const parent = getpid();
  addExitHook(() => say(getpid() === parent ? "parent's" : "child's"));
  const forked = forkAndCleanUp();
  if (forked.role === "parent") waitpid(forked.pid);
  exit(0);
}

/** A child has not its parent's lock, and must not take the file for its own. */
function forkWithPidfile(pidfile: string): void {
  const parent = getpid();
  makePidfile(pidfile, false);
  const forked = forkAndCleanUp();
  if (forked.role === "parent") {
    waitpid(forked.pid);
    exitNow(0);
  }
  say(readPidfile(pidfile) === parent);
  exitNow(0);
}

/** A child knows its own pid, also when its parent has asked for its own. */
function forkWithPid(): void {
  const parent = Deno.pid;
  const forked = forkAndCleanUp();
  if (forked.role === "parent") {
    waitpid(forked.pid);
    say(Deno.pid === parent && parent === getpid());
  } else {
    say(Deno.pid === getpid() && Deno.ppid === parent);
  }
  exitNow(0);
}

function say(what: unknown): void {
  console.log(JSON.stringify(what));
}

const [name = "", file = ""] = Deno.args;
if (name === "pid") forkWithPid();
else if (name === "hook") forkWithHook();
else if (name === "pidfile") forkWithPidfile(file);
else startAndSay(name);
