/**
 * Going through the calls of a restart: one daemon crashes again and again, and
 * each time another of the calls by which it is restarted fails, or its process
 * is killed right before it.
 *
 * So each has its turn in a few seconds, which a life of its own for each would
 * not leave the time for.
 *
 * @module
 */
import { Errno, strerror } from "../../ffi/libc.ts";
import { errorsOf, mayBeShort, nameOf, saysWhatFailed } from "./calls.ts";
import { type Held, leaksOf } from "./descriptors.ts";
import type { Made, Plan, Role } from "./life.ts";

/** So many calls have their turn however short the time. */
const LEAST = 3;

/** What a monitor goes on after in a second, and knows why. */
const FORESEEN = /who has sent a notification for pid \d+ cannot be told/;

/** What is done to whose calls. */
export interface SweepPlan {
  readonly sweep: "fail" | "kill";
  readonly roles: readonly Role[];
  /**
   * How long it may go on; without it, until each call has had its turn with
   * each error.
   */
  readonly seconds?: number;
}

/** What came of it. */
export interface Swept {
  /** How many calls have failed, or have not been made. */
  readonly tried: number;
  /** How many of these times what tend promises held. */
  readonly held: number;
  /** Whether there was nothing left to be tried. */
  readonly isThrough: boolean;
  /** What did not hold. */
  readonly failures: readonly string[];
}

/** What is looked at while there is no daemon, and when there is one again. */
export interface Look {
  /** What the monitor holds. */
  readonly held: Held;
  /** What is in the run directory. */
  readonly files: readonly string[];
  /** What the monitor's log has got since the daemon before. */
  readonly log: string;
  /** Its children that have ended, and that it has not waited for. */
  readonly zombies: readonly number[];
  /** What is in its daemon's pidfile, if that is not just its number. */
  readonly lie: string | undefined;
}

/** Chooses what is done, and sees whether all holds after each time. */
export class Sweep {
  readonly #plan: SweepPlan;
  /** What the monitor holds after a crash to which nothing was done. */
  #usual: Held | undefined;
  #zombies: readonly number[] = [];
  #looks = 0;
  readonly #deadline: number;
  readonly #tried = new Set<string>();
  /** How often each call was made since the daemon before. */
  #counts = new Map<string, number>();
  /** Which of a call's errors are tried by now: each has had those before. */
  #pass = 0;
  #isPassLeft = true;
  #done:
    | { readonly text: string; readonly what: Plan["what"]; number: number }
    | undefined;
  #isNotedFor: string | undefined;
  readonly #failures = new Map<string, string[]>();
  #count = 0;
  #isThrough = false;

  /** @param plan What is done. */
  constructor(plan: SweepPlan) {
    this.#plan = plan;
    this.#deadline = performance.now() + (plan.seconds ?? Infinity) * 1000;
  }

  /** What is done at a call, if anything: once for each daemon. */
  at(made: Made): Plan["what"] | undefined {
    const { role, number, file, text } = made;
    if (!this.#plan.roles.includes(role)) return undefined;
    if (this.#usual === undefined) return undefined;
    // How far a restart has come is read there.
    if (file?.endsWith(".monitor")) return undefined;
    const kind = `${role} ${nameOf(number)} ${kindOf(file ?? text)}`;
    const count = this.#counts.get(kind) ?? 0;
    this.#counts.set(kind, count + 1);
    if (this.#done !== undefined) return undefined;
    const ways = this.#waysOf(made);
    const what = ways[this.#pass];
    if (ways.length > this.#pass + 1) this.#isPassLeft = true;
    if (what === undefined) return undefined;
    const key = `${kind} ${count} ${what}`;
    if (this.#tried.has(key)) return undefined;
    this.#tried.add(key);
    const how = typeof what === "number" ? strerror(what) : what;
    this.#done = { text: `${how} at ${kind}, number ${count}`, what, number };
    this.#count++;
    return what;
  }

  #waysOf({ number, file, second }: Made): Plan["what"][] {
    if (this.#plan.sweep === "kill") return ["kill"];
    const errors = errorsOf(number, file, second);
    return mayBeShort(number, file) ? ["half", ...errors] : [...errors];
  }

  /** The start has come to nothing, and the monitor waits for the next one. */
  failed({ files, log }: Look): void {
    if (this.#done === undefined) return;
    const { text, what, number } = this.#done;
    const left = files.filter((name) => name.endsWith(".tmp"));
    // What cannot be removed stays.
    if (left.length > 0 && !text.includes("unlink")) {
      this.#note(`left: ${left.join(" ")}`);
    }
    if (what === Errno.EINTR || what === "half") {
      this.#note(`no start: "${log}"`);
    } else if (typeof what === "number" && !saysWhatFailed(log, number, what)) {
      this.#note(`no call with "${strerror(what)}" in "${log}"`);
    }
  }

  /**
   * There is a daemon again, and nothing more to do.
   *
   * @returns Whether it is to crash once more.
   */
  isToGoOn({ held, files, log, zombies, lie }: Look): boolean {
    this.#looks++;
    // The log is open once something has been said.
    if (this.#looks === 2) this.#usual = held;
    if (this.#looks <= 2) return true;
    this.#leftBehind(files);
    if (lie !== undefined) this.#note(`in the pidfile: ${lie}`);
    // Nobody is to hear of a call that a signal has interrupted; nor of an error
    // that nobody has thought of.
    const isWrong = log.includes(strerror(Errno.EINTR)) ||
      log.split("\n").some((line) =>
        line.includes("going on in a second") && !FORESEEN.test(line)
      );
    if (isWrong) this.#note(`it was not to be said: "${log}"`);
    const others = zombies.filter((pid) => !this.#zombies.includes(pid));
    if (others.length > 0) this.#note(`not waited for: pid ${others.join()}`);
    this.#zombies = zombies;
    leaksOf(held, this.#usual).forEach((text) => this.#note(text));
    // Of what this one has left the next are not guilty.
    if (held.files.length > (this.#usual?.files.length ?? 0)) {
      this.#usual = held;
    }
    const wasDone = this.#done !== undefined;
    this.#done = undefined;
    this.#counts = new Map();
    const isOver = this.#count >= LEAST &&
      performance.now() > this.#deadline;
    if (wasDone) return !isOver;
    this.#pass++;
    const isLeft = this.#isPassLeft;
    this.#isPassLeft = false;
    this.#isThrough = !isLeft;
    return isLeft && !isOver;
  }

  #leftBehind(files: readonly string[]): void {
    const left = files.filter((name) => !/^web\.pid(\.monitor)?$/.test(name));
    if (left.length > 0) this.#note(`left: ${left.join(" ")}`);
  }

  #note(failure: string): void {
    const text = this.#done?.text ?? "undisturbed";
    this.#failures.set(text, [...this.#failures.get(text) ?? [], failure]);
  }

  /** What has come of it. */
  get result(): Swept {
    return {
      tried: this.#count,
      held: Math.max(0, this.#count - this.#failures.size),
      isThrough: this.#isThrough,
      failures: [...this.#failures].flatMap(([what, texts]) =>
        texts.map((text) => `${what}: ${text}`)
      ),
    };
  }
}

/** Pids, addresses and the names of sandboxes are others each time. */
function kindOf(text: string): string {
  return text.replace(/tend-test-[^/]*/, "").replace(/-?\d+/g, "N");
}
