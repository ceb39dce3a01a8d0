/**
 * One life of a daemon with its monitor, looked at call by call: it is started,
 * and each of its steps follows when its monitor has nothing more to do. At one
 * of the calls something is done to the process that makes it.
 *
 * `deno run -A tracer.ts PLAN STEPS PROGRAM [ARG]...`: a program, for the process
 * that traces must be one that waits for nothing else. Prints a `Life` as JSON.
 * Without steps PROGRAM is a verb, and its end is that of the life. PLAN may be
 * one for a sweep, `sweep.ts`: then the daemon crashes for as long as that wants.
 *
 * @module
 */
import { environment } from "../../ffi/environment.ts";
import { close } from "../../ffi/descriptor.ts";
import { pidfdOpen } from "../../ffi/pidfd.ts";
import { kill } from "../../ffi/process.ts";
import { Signal } from "../../ffi/signal.ts";
import { waitReadable } from "../../ffi/wait.ts";
import { posixSpawn } from "../../ffi/spawn.ts";
import { Actor } from "./actor.ts";
import {
  lessThan,
  nameOf,
  pathArgument,
  POLL,
  PPOLL,
  takesDescriptor,
} from "./calls.ts";
import { type Course, Crashes, Steps } from "./course.ts";
import type { Life, Made, Plan, Role, Step, Strike, Struck } from "./life.ts";
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
import type { SweepPlan } from "./sweep.ts";
import { shown } from "./traced_monitor.ts";
import { isAlive } from "../proc.ts";

/** Nothing else of tend's waits for so long. */
const LONG_MS = 30_000n;
/** Only then it gets ready for the next crash, which it need not. */
const PREPARING_MS = 500n;
/** So long another start may take that does not wait for the one held back. */
const HELD_MS = 2_000;
const FAILED_CALL = Symbol();
const STRUCK = ["parent", "monitor", "daemon"] as const;

interface Traced {
  readonly actor: Actor;
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
  #code: number | undefined;
  /** What runs in parent, monitor and daemon until that is its command. */
  #program = "";
  /** The process that became a command last. */
  #command: number | undefined;
  #monitor = 0;
  /** The daemon that was forked last. */
  #child: number | undefined;
  /** Who was sent a signal. */
  #struck: number | undefined;
  /** Whether the monitor waits, and for no deadline. */
  #idle = false;
  #over = false;
  readonly #long: bigint;
  #rival: number | undefined;
  #rivalCode: number | undefined;

  constructor(
    readonly plan: Plan | undefined,
    readonly sweepPlan: SweepPlan | undefined,
    readonly course: Course,
    readonly isVerb: boolean,
    readonly root: number,
    readonly argv: readonly string[],
  ) {
    this.#long = sweepPlan === undefined ? LONG_MS : PREPARING_MS;
    this.#over = isVerb;
    this.#traced.set(root, newTraced(new Actor(isVerb ? "verb" : "parent")));
  }

  run(): Life {
    for (;;) {
      const stop = nextStop();
      if (stop === undefined) break;
      this.#handle(stop);
      this.#drive();
      const awaitsRival = this.#rival !== undefined &&
        this.#rivalCode === undefined;
      if (this.#isOver && this.#code !== undefined && !awaitsRival) break;
    }
    const { stage, held, swept } = this.course;
    return {
      calls: this.#calls,
      done: this.#done,
      doneAt: this.#doneAt,
      stage,
      code: this.#code ?? -1,
      held,
      deaths: this.#deaths,
      rival: this.#rivalCode,
      swept,
    };
  }

  get #isOver(): boolean {
    return this.#over || this.course.isOver;
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
      process.actor.becomes(exe, stop.pid === this.#monitor);
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
    // Or nearly so: one that cannot sleep now tries again after a minute.
    const timeout = BigInt.asIntN(32, args[2]!);
    const isForever = number === POLL
      ? timeout < 0n || timeout >= this.#long
      : number === PPOLL && args[2] === 0n;
    if (isForever && pid === this.#monitor) this.#idle = true;
    const role = process.actor.calls(stop);
    if (role === undefined) return;
    const index = this.#counts.get(role) ?? 0;
    this.#counts.set(role, index + 1);
    const at = pathArgument(number);
    const text = at === undefined
      ? args.slice(0, 3).join(" ")
      : textAt(pid, args[at]!);
    const file = takesDescriptor(number)
      ? fileOf(pid, Number(args[0]))
      : undefined;
    const second = String(args[1]);
    const made = { role, number, text, file, second, stage: this.course.stage };
    const swept = this.course.at(made);
    if (swept !== undefined) return this.#do(swept, stop, process, file);
    if (this.sweepPlan !== undefined) return;
    const { plan } = this;
    const there = plan === undefined
      ? { there: STRUCK.filter((who) => this.#pidOf(who) !== undefined) }
      : {};
    this.#calls.push({ ...made, ...there });
    if (plan?.role !== role) return;
    const isNext = this.#done !== undefined && this.#times < (plan.times ?? 1);
    if (plan.index !== index && !isNext) return;
    if (plan.call !== undefined && !isLike(made, plan.call)) return;
    const isStrike = typeof plan.what === "object";
    if (isStrike && this.#pidOf(plan.what.to) === undefined) return;
    this.#times++;
    if (this.#done === undefined) {
      this.#done = made;
      this.#doneAt = this.course.stage;
    }
    this.#over ||= plan.what === "kill";
    this.#do(plan.what, stop, process, file);
  }

  #do(
    what: Plan["what"],
    { pid, number, args }: Stop & { kind: "call" },
    process: Traced,
    file: string | undefined,
  ): void {
    if (what === "kill") return kill(pid, Signal.SIGKILL);
    if (what === "rival") return this.#startRival();
    if (typeof what === "object") return this.#strike(what);
    if (what === "half") {
      return setThirdArgument(pid, lessThan(args[2]!, file));
    }
    // A descriptor is closed, whatever that returns.
    if (nameOf(number) !== "close") skipCall(pid);
    process.pending = what;
  }

  #ended({ pid, code, signal }: Stop & { kind: "ended" }): void {
    if (pid === this.root) this.#code = code ?? -signal!;
    if (pid === this.#rival) {
      this.#rivalCode = code ?? -signal!;
      this.#over = true;
    }
    const role = this.#traced.get(pid)?.actor.role;
    // A monitor that ends takes what it has forked with it.
    const strike = typeof this.plan?.what === "object"
      ? this.plan.what
      : undefined;
    const isOfStrike = this.#struck === pid && signal === strike?.signal ||
      this.#struck !== undefined && strike?.signal !== Signal.SIGSEGV &&
        signal === Signal.SIGTERM;
    if (
      signal !== undefined && role !== undefined && pid !== this.course.daemon
    ) {
      // SIGTERM: nothing may run that nobody looks after any more.
      const isOurs = isOfStrike ||
        this.sweepPlan?.sweep === "kill" && signal === Signal.SIGKILL ||
        this.plan?.what === "kill" &&
          (signal === Signal.SIGKILL || signal === Signal.SIGTERM) ||
        // The runtime's, not ours.
        role === "monitor waking" && role === this.#done?.role;
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
      : parent === this.root && !this.isVerb
      ? "monitor"
      : parent === this.#monitor
      ? "daemon"
      : undefined;
    if (role === "monitor") this.#monitor = pid;
    if (role === "daemon") this.#child = pid;
    const process = newTraced(Actor.forked(role));
    this.#traced.set(pid, process);
    return process;
  }

  /** Lets the next thing happen when everybody waits for it. */
  #drive(): void {
    if (!this.#idle || this.#code === undefined || this.#isOver) return;
    // It has been told to end, and has to do so by itself.
    if (this.#struck === this.#monitor) return;
    const isBusy = this.course.goOn(this.#monitor, this.#command);
    if (isBusy) this.#idle = false;
  }

  #pidOf(who: Struck): number | undefined {
    if (who === "parent") {
      return this.#code === undefined ? this.root : undefined;
    }
    // Those that a verb is about are not its children.
    const { monitor, pid: daemon } = this.isVerb
      ? shown() ?? {}
      : { monitor: this.#monitor, pid: this.#child };
    const pid = who === "monitor" ? monitor : daemon;
    return pid !== undefined && isAlive(pid) ? pid : undefined;
  }

  #strike({ signal, to }: Strike): void {
    const pid = this.#pidOf(to)!;
    this.#struck = pid;
    this.#over ||= to === "parent" || signal === Signal.SIGKILL;
    kill(pid, signal);
    // One that is traced gets any other signal from us alone, later.
    if (signal !== Signal.SIGKILL && this.#traced.has(pid)) return;
    while (isAlive(pid));
  }

  #startRival(): void {
    this.#rival = start(
      "rival",
      'exec "$@"',
      this.plan?.rival ?? this.argv,
    );
    const pidfd = pidfdOpen(this.#rival);
    waitReadable([pidfd], this.plan?.patience ?? HELD_MS);
    close(pidfd);
  }
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

function newTraced(actor: Actor): Traced {
  return { actor, pending: FAILED_CALL };
}

/** Starts a program whose output goes to files of a name. */
function start(name: string, script: string, argv: readonly string[]): number {
  return posixSpawn("/bin/sh", [
    ...["sh", "-c", `${script} >"$0.out" 2>"$0.err"`],
    ...[`${Deno.cwd()}/${name}`, ...argv],
  ], { env: environment(), unblockSignals: true });
}

if (import.meta.main) {
  const [plan, steps, ...argv] = Deno.args;
  const root = start("traced", 'kill -STOP $$; exec "$@"', argv);
  seizeStopped(root);
  kill(root, Signal.SIGCONT);
  const given: Plan | SweepPlan | null = JSON.parse(plan!);
  const isSweep = given !== null && "sweep" in given;
  const ways: readonly Step[] = JSON.parse(steps!);
  const tracer = new Tracer(
    isSweep ? undefined : given ?? undefined,
    isSweep ? given : undefined,
    isSweep ? new Crashes(given) : new Steps(ways, argv),
    ways.length === 0,
    root,
    argv,
  );
  console.log(JSON.stringify(tracer.run()));
}
