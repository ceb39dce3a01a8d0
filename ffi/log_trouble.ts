/**
 * How a logger, `logger.ts`, tells of trouble with its file: by a signal that is
 * queued, once when it begins and once when it is over.
 *
 * @module
 */
import type { CallScript, Cell, Place } from "./call_script.ts";
import { SI_QUEUE } from "./signal.ts";
import { SIGINFO } from "./pidfd.ts";

/** Who is told. */
export interface Listener {
  /** A descriptor of the process: its number may be another's some day. */
  readonly pidfd: number;
  /** The signal. */
  readonly signal: number;
  /** What is added to each value: which logger it is. */
  readonly tag: number;
}

/** What a logger cannot do, with the number by which it is told. */
export const TROUBLES = { write: 1, rotate: 2, reopen: 3 } as const;
/** One of these. */
export type Trouble = keyof typeof TROUBLES;

/** What is added to each value for the kind of trouble: above any errno. */
export const TROUBLE_STEP = 4096;
/** What is added to each value for a logger is a multiple of that. */
export const TAG_STEP = 65_536;

/** Writes the steps that tell of trouble. */
export class LogTrouble {
  readonly #script: CallScript;
  readonly #listener: Listener | undefined;
  readonly #info: Place;
  readonly #told: Readonly<Record<Trouble, Cell>>;

  /**
   * @param script The script.
   * @param listener Who is told, if anybody.
   */
  constructor(script: CallScript, listener: Listener | undefined) {
    this.#script = script;
    this.#listener = listener;
    const info = new DataView(new ArrayBuffer(SIGINFO.size));
    info.setInt32(SIGINFO.signo, listener?.signal ?? 0, true);
    info.setInt32(SIGINFO.code, SI_QUEUE, true);
    this.#info = script.bytes(new Uint8Array(info.buffer));
    this.#told = {
      write: script.cell(),
      rotate: script.cell(),
      reopen: script.cell(),
    };
  }

  /**
   * Adds the steps for when something has failed.
   *
   * @param label Where they begin.
   * @param what What.
   * @param error The errno, below 0.
   * @param next What follows.
   */
  begins(label: string, what: Trouble, error: Cell, next: string): void {
    const told = this.#told[what];
    this.#script.subtract(label, told, 0, { positive: next });
    this.#tell(what, error, next);
    this.#script.assign("", told, 1, next);
  }

  /**
   * Adds the steps for when it has not.
   *
   * @param label Where they begin.
   * @param what What.
   * @param next What follows.
   */
  isOver(label: string, what: Trouble, next: string): void {
    const told = this.#told[what];
    this.#script.subtract(label, told, 0, { zero: next });
    this.#tell(what, this.#script.cell(), next);
    this.#script.assign("", told, 0, next);
  }

  /**
   * Adds the steps that tell; what follows is for when that is done. Where no more
   * signals can be queued it is not, and is tried with the next write or file.
   */
  #tell(what: Trouble, error: Cell, failed: string): void {
    const script = this.#script;
    const { pidfd, signal, tag } = this.#listener ??
      { pidfd: -1, signal: 0, tag: 0 };
    const value = { cell: this.#info.place + SIGINFO.value };
    const kind = tag + TROUBLES[what] * TROUBLE_STEP;
    script.subtract("", kind, error, { result: value });
    const operands = [pidfd, signal, this.#info, 0];
    script.step("", "pidfd_send_signal", operands, { failed });
  }
}
