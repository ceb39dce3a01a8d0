/**
 * One life of a daemon with its monitor, looked at call by call: it is started,
 * and each of its steps follows when its monitor has nothing more to do. At one
 * of the calls something is done to the process that makes it.
 *
 * `deno run -A life.ts PLAN STEPS PROGRAM [ARG]...`: a program, for the process
 * that traces must be one that waits for nothing else. Prints a `Life` as JSON.
 * Without steps PROGRAM is a verb, and its end is that of the life.
 *
 * @module
 */
import { environment } from "../../ffi/environment.ts";
import { close } from "../../ffi/descriptor.ts";
import { pidfdOpen } from "../../ffi/pidfd.ts";
import { kill } from "../../ffi/process.ts";
import { posixSpawn } from "../../ffi/spawn.ts";
import { makePidfileName } from "../../lib/pidfile.ts";
import { readMonitorFile } from "../../lib/monitor_file.ts";
import { sendRequest } from "../../lib/request.ts";
import {
  GETCWD,
  lessThan,
  matters,
  nameOf,
  pathArgument,
  POLL,
  PPOLL,
  takesDescriptor,
} from "./calls.ts";
import { type Held, heldBy } from "./descriptors.ts";
import {
  detach,
  failWith,
  nextStop,
  resume,
  seizeStopped,
  setThirdArgument,
  skipCall,
  type Stop,
  textAt,
} from "./ptrace.ts";

/** Who makes a call; `waking` is Deno's runtime in a monitor that wakes up. */
export type Role =
  | "parent"
  | "monitor"
  | "waking"
  | "daemon"
  | "logger"
  | "verb";

/** What happens in a life, by SIGSEGV, by requests, or by SIGTERM. */
export type Step = "crash" | "restart" | "stop" | "terminate";

/** What is done at which call. */
export interface Plan {
  readonly role: Role;
  /** Which of the role's calls, from 0; of all its processes. */
  readonly index: number;
  /**
   * Which call that has to be: threads and timers differ from one life to the
   * next, and not every call can fail in the same ways.
   */
  readonly call?: {
    readonly number: number;
    readonly file?: string | undefined;
  };
  /** SIGKILL, an errno, or half of the length that was asked for. */
  readonly what: "kill" | "half" | number;
  /** To how many calls like it in turn; to one without it. */
  readonly times?: number;
}

/** A call that was made. */
export interface Made {
  readonly role: Role;
  readonly number: number;
  /** Its path, or its first arguments. */
  readonly text: string;
  /** What its first argument refers to, if that is a descriptor. */
  readonly file: string | undefined;
  /** Its second argument. */
  readonly second: string;
}

/** What was seen. */
export interface Life {
  /** The calls that matter, in their order. */
  readonly calls: readonly Made[];
  /** The call to which it was done, unless there were not so many. */
  readonly done: Made | undefined;
  /** How many steps had been made then. */
  readonly doneAt: number;
  /** How many steps were made. */
  readonly stage: number;
  /** The exit status of the program as its caller sees it; -SIGNAL. */
  readonly code: number;
  /** What the monitor held when the last step was due. */
  readonly held?: Held | undefined;
  /** Signals that ended a process of tend's, but for ours. */
  readonly deaths: readonly string[];
}

const SIGKILL = 9;
const SIGSEGV = 11;
const SIGTERM = 15;
const SIGCHLD = 17;

/** The runtime asks so often for the directory, last before any code of ours. */
const RUNTIME_GETCWDS = 3;
/** What `self_daemon.ts` looks for first: `deno run` asks for it less often. */
const BEGINNING = "/no/such/file/but/it/begins";
/** Nothing else of tend's waits for so long. */
const LONG_MS = 30_000n;
const FAILED_CALL = Symbol();

interface Traced {
  role: Role | undefined;
  getcwds: number;
  /** The errno that its call is to return. */
  pending: number | typeof FAILED_CALL;
}

class Tracer {
  readonly #traced = new Map<number, Traced>();
  readonly #counts = new Map<Role, number>();
  readonly #calls: Made[] = [];
  readonly #deaths: string[] = [];
  #done: Made | undefined;
  #doneAt = 0;
  #times = 0;
  #stage = 0;
  #code: number | undefined;
  /** What runs in parent, monitor and daemon until that is its command. */
  #program = "";
  /** The process that became a command last. */
  #command: number | undefined;
  /** The daemon to which a step was done last. */
  #daemon: number | undefined;
  #monitor = 0;
  /** Whether the monitor waits, and for no deadline. */
  #idle = false;
  #over = false;
  #held: Held | undefined;
  #isWoken = false;

  constructor(
    readonly plan: Plan | undefined,
    readonly steps: readonly Step[],
    readonly root: number,
    readonly saysReady: boolean,
  ) {
    const isVerb = steps.length === 0;
    this.#over = isVerb;
    this.#traced.set(root, newTraced(isVerb ? "verb" : "parent"));
  }

  run(): Life {
    for (;;) {
      const stop = nextStop();
      if (stop === undefined) break;
      this.#handle(stop);
      if (this.#over && this.#code !== undefined) break;
      this.#drive();
    }
    return {
      calls: this.#calls,
      done: this.#done,
      doneAt: this.#doneAt,
      stage: this.#stage,
      code: this.#code ?? -1,
      held: this.#held,
      deaths: this.#deaths,
    };
  }

  #handle(stop: Stop): void {
    if (stop.kind === "ended") return this.#ended(stop);
    const process = this.#traced.get(stop.pid) ?? this.#add(stop.pid);
    if (stop.kind === "exec") {
      const exe = Deno.readLinkSync(`/proc/${stop.pid}/exe`);
      if (stop.pid === this.root) this.#program = exe;
      const isOurs = exe === this.#program || exe.startsWith("/memfd:tend");
      if (!isOurs) {
        this.#command = stop.pid;
        this.#idle = false;
        // The command's own calls are not looked at.
        return detach(stop.pid);
      }
      process.getcwds = exe.startsWith("/memfd:") ? RUNTIME_GETCWDS : 0;
      if (exe.startsWith("/memfd:tend-logger")) process.role = "logger";
    } else if (stop.kind === "call") {
      this.#call(stop, process);
    } else if (stop.kind === "made") {
      if (process.pending !== FAILED_CALL) {
        failWith(stop.pid, process.pending as number);
        process.pending = FAILED_CALL;
      }
      if (stop.pid === this.#monitor) this.#idle = false;
    }
    resume(stop);
  }

  #call(stop: Stop & { kind: "call" }, process: Traced): void {
    const { pid, number, args } = stop;
    if (number === GETCWD) process.getcwds++;
    // Or nearly so: one that cannot sleep now tries again after a minute.
    const timeout = BigInt.asIntN(32, args[2]!);
    const isForever = number === POLL
      ? timeout < 0n || timeout >= LONG_MS
      : number === PPOLL && args[2] === 0n;
    if (isForever && pid === this.#monitor) this.#idle = true;
    const at = pathArgument(number);
    if (at !== undefined && process.getcwds < RUNTIME_GETCWDS) {
      if (textAt(pid, args[at]!) === BEGINNING) {
        process.getcwds = RUNTIME_GETCWDS;
      }
    }
    const isOurs = process.getcwds >= RUNTIME_GETCWDS;
    const role = isOurs
      ? process.role
      : process.role === "monitor"
      ? "waking"
      : undefined;
    if (role === undefined || !matters(number, role === "logger")) return;
    const index = this.#counts.get(role) ?? 0;
    this.#counts.set(role, index + 1);
    const text = at === undefined
      ? args.slice(0, 3).join(" ")
      : textAt(pid, args[at]!);
    const file = takesDescriptor(number)
      ? fileOf(pid, Number(args[0]))
      : undefined;
    const made = { role, number, text, file, second: String(args[1]) };
    this.#calls.push(made);
    const { plan } = this;
    if (plan?.role !== role) return;
    const isNext = this.#done !== undefined && this.#times < (plan.times ?? 1);
    if (plan.index !== index && !isNext) return;
    if (plan.call !== undefined && !isLike(made, plan.call)) return;
    this.#times++;
    if (this.#done === undefined) {
      this.#done = made;
      this.#doneAt = this.#stage;
    }
    if (plan.what === "kill") {
      this.#over = true;
      kill(pid, SIGKILL);
    } else if (plan.what === "half") {
      setThirdArgument(pid, lessThan(args[2]!, file));
    } else {
      // A descriptor is closed, whatever that returns.
      if (nameOf(number) !== "close") skipCall(pid);
      process.pending = plan.what;
    }
  }

  #ended({ pid, code, signal }: Stop & { kind: "ended" }): void {
    if (pid === this.root) this.#code = code ?? -signal!;
    const role = this.#traced.get(pid)?.role;
    if (signal !== undefined && role !== undefined && pid !== this.#daemon) {
      // SIGTERM: nothing may run that nobody looks after any more.
      const isOurs = this.plan?.what === "kill" &&
        [SIGKILL, SIGTERM].includes(signal);
      if (!isOurs) this.#deaths.push(`${role} by signal ${signal}`);
    }
    this.#traced.delete(pid);
  }

  #add(pid: number): Traced {
    const status = Deno.readTextFileSync(`/proc/${pid}/status`);
    const number = (name: string) =>
      Number(new RegExp(`^${name}:\t(\\d+)`, "m").exec(status)![1]);
    const parent = number("PPid");
    // A thread of the runtime's is nobody.
    const role = number("Tgid") !== pid
      ? undefined
      : parent === this.root && this.steps.length > 0
      ? "monitor"
      : parent === this.#monitor
      ? "daemon"
      : undefined;
    if (role === "monitor") this.#monitor = pid;
    const process = newTraced(role);
    // It is a fork, and in the midst of our code.
    process.getcwds = RUNTIME_GETCWDS;
    this.#traced.set(pid, process);
    return process;
  }

  /** Lets the next thing happen when everybody waits for it. */
  #drive(): void {
    if (!this.#idle || this.#code === undefined || this.#over) return;
    const daemon = this.#command ?? runningDaemon();
    if (daemon === undefined || daemon === this.#daemon) return;
    // It waits for a command that is not ready yet, too.
    if (this.saysReady && runningDaemon() !== daemon) return;
    this.#idle = false;
    // It may be about to wait for what has come already, and that for what it
    // closes then: so it is woken once more before its descriptors are counted.
    const isLast = this.#stage === this.steps.length - 1;
    if (isLast && !this.#isWoken && this.steps.at(-1) === "terminate") {
      this.#isWoken = true;
      return kill(this.#monitor, SIGCHLD);
    }
    this.#daemon = daemon;
    this.#held = heldBy(this.#monitor);
    const step = this.steps[this.#stage++];
    if (step === "crash") kill(daemon, SIGSEGV);
    else if (step === "terminate") kill(this.#monitor, SIGTERM);
    else if (step !== undefined) request(this.#monitor, step);
  }
}

/** A daemon that is its own program, if its monitor says that it runs. */
function runningDaemon(): number | undefined {
  const file = readMonitorFile(makePidfileName("web.pid"));
  return file.kind === "held" && file.record?.phase === "running"
    ? file.record.pid
    : undefined;
}

function request(monitor: number, kind: "restart" | "stop"): void {
  const pidfd = pidfdOpen(monitor);
  sendRequest(pidfd, { kind, signal: SIGTERM });
  close(pidfd);
}

/** Whether a call is the one that was seen before, in another sandbox. */
function isLike(
  { number, file }: Made,
  seen: NonNullable<Plan["call"]>,
): boolean {
  const kind = (file?: string) => file?.split(/[/:]/)[0];
  return number === seen.number && kind(file) === kind(seen.file);
}

/** What a descriptor refers to; one that is not open, to nothing. */
function fileOf(pid: number, fd: number): string {
  try {
    return Deno.readLinkSync(`/proc/${pid}/fd/${fd}`);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "none";
    throw error;
  }
}

function newTraced(role: Role | undefined): Traced {
  return { role, getcwds: 0, pending: FAILED_CALL };
}

if (import.meta.main) {
  const [plan, steps, ...argv] = Deno.args;
  const script = 'kill -STOP $$; exec "$@" >"$0.out" 2>"$0.err"';
  const root = posixSpawn("/bin/sh", [
    "sh",
    "-c",
    script,
    `${Deno.cwd()}/traced`,
    ...argv,
  ], { env: environment(), unblockSignals: true });
  seizeStopped(root);
  kill(root, 18); // SIGCONT
  const tracer = new Tracer(
    JSON.parse(plan!) ?? undefined,
    JSON.parse(steps!),
    root,
    argv.some((word) => word.startsWith("--ready=")),
  );
  console.log(JSON.stringify(tracer.run()));
}
