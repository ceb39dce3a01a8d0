/**
 * The course of a life that is traced: what happens to the daemon next, once its
 * monitor has nothing more to do.
 *
 * @module
 */
import { kill } from "../../ffi/process.ts";
import { Signal } from "../../ffi/signal.ts";
import { zombiesOf } from "../proc.ts";
import { type Held, heldBy } from "./descriptors.ts";
import type { Made, Plan, Step } from "./life.ts";
import { Sweep, type SweepPlan, type Swept } from "./sweep.ts";
import { lookAt, request, runningDaemon, shown } from "./traced_monitor.ts";

/** So often a monitor is woken to wait for a child that has ended. */
const PATIENCE = 5;

/** What happens, one thing after the other. */
export interface Course {
  /** How many steps have been made. */
  readonly stage: number;
  /** The daemon to which one was done last. */
  readonly daemon: number | undefined;
  /** What the monitor held when the last one was due. */
  readonly held: Held | undefined;
  /** Whether there is nothing more to come. */
  readonly isOver: boolean;
  /** What came of a sweep. */
  readonly swept: Swept | undefined;
  /** What it wants to be done at a call. */
  at(made: Made): Plan["what"] | undefined;
  /**
   * The monitor waits, and for no deadline.
   *
   * @param monitor The monitor.
   * @param command The process that became a command last.
   * @returns Whether the monitor has something to do again.
   */
  goOn(monitor: number, command: number | undefined): boolean;
}

/** The steps of a plan. */
export class Steps implements Course {
  stage = 0;
  daemon: number | undefined;
  held: Held | undefined;
  readonly isOver = false;
  readonly swept = undefined;
  readonly #steps: readonly Step[];
  readonly #saysReady: boolean;
  #isWoken = false;

  /**
   * @param steps What they are.
   * @param argv How the daemon is started.
   */
  constructor(steps: readonly Step[], argv: readonly string[]) {
    this.#steps = steps;
    this.#saysReady = argv.some((word) => word.startsWith("--ready="));
  }

  at(): undefined {}

  goOn(monitor: number, command: number | undefined): boolean {
    // It waits for a command that is not ready yet, too; and a script that it
    // runs at a crash has become another program as well.
    const daemon = this.#saysReady
      ? runningDaemon()
      : command ?? runningDaemon();
    if (daemon === undefined || daemon === this.daemon) return false;
    // It may be about to wait for what has come already, and that for what it
    // closes then: so it is woken once more before its descriptors are counted.
    const isLast = this.stage === this.#steps.length - 1;
    if (isLast && !this.#isWoken && this.#steps.at(-1) === "terminate") {
      this.#isWoken = true;
      kill(monitor, Signal.SIGCHLD);
      return true;
    }
    this.daemon = daemon;
    this.held = heldBy(monitor);
    const step = this.#steps[this.stage++];
    if (step === "crash") kill(daemon, Signal.SIGSEGV);
    else if (step === "terminate") kill(monitor, Signal.SIGTERM);
    else if (step !== undefined) request(monitor, step);
    return true;
  }
}

/** One crash after the other, for as long as a sweep wants that. */
export class Crashes implements Course {
  readonly stage = 0;
  daemon: number | undefined;
  readonly held = undefined;
  isOver = false;
  readonly #plan: SweepPlan;
  #sweep: Sweep | undefined;
  #log = "";
  #isWoken = false;
  #patience = PATIENCE;

  /** @param plan What the sweep does. */
  constructor(plan: SweepPlan) {
    this.#plan = plan;
  }

  get swept(): Swept | undefined {
    return this.#sweep?.result;
  }

  at(made: Made): Plan["what"] | undefined {
    return this.#sweep?.at(made);
  }

  /** Sees what the last crash has come to, and has the daemon crash once more. */
  goOn(monitor: number): boolean {
    const { phase, pid, lastStart } = shown() ?? {};
    const isBack = phase === "running" && pid !== this.daemon;
    // There is more to come, and then it waits anew.
    if (pid === undefined || !isBack && phase !== "backingOff") return true;
    // As above: once more, before anything is looked at.
    this.#isWoken = !this.#isWoken;
    const zombies = this.#isWoken ? [] : zombiesOf(monitor);
    // One may have ended right now.
    const isLate = zombies.length > 0 && this.#patience-- > 0;
    if (this.#isWoken || isLate) {
      kill(monitor, Signal.SIGCHLD);
      return true;
    }
    this.#patience = PATIENCE;
    const there = lookAt(monitor, isBack ? pid : undefined, zombies);
    const { log } = there;
    const seen = { ...there, log: log.slice(this.#log.length) };
    if (!isBack) {
      if (lastStart?.ready === false) this.#sweep?.failed(seen);
      // It would wait for seconds.
      request(monitor, "restart");
      return true;
    }
    this.#log = log;
    this.daemon = pid;
    this.#sweep ??= new Sweep(this.#plan);
    if (this.#sweep.isToGoOn(seen)) kill(pid, Signal.SIGSEGV);
    else this.isOver = true;
    return true;
  }
}
