/**
 * Scripts of system calls, for `interpreter.ts`: what is to be done where no
 * JavaScript can run. A script is laid out as one piece of memory, with all that
 * its steps work on.
 *
 * @module
 */
import { type SystemCall, systemCall } from "./system_calls.ts";

const WORD = 8;
const OPERANDS = 6;
/** A step: number, operands, result, three successors. */
const STEP_SIZE = (2 + OPERANDS + 3) * WORD;

/** What a step may be that is no system call, and its number. */
const OWN = {
  return: -1,
  differ: -2,
  decimal: -3,
  invoke: -4,
  multiplyAdd: -5,
  divide: -6,
  copy: -7,
} as const;

/** A word of a script, to be an operand by what is in it then. */
export interface Cell {
  /** Where it is, from the script's beginning. */
  readonly cell: number;
}

/** A place in a script, to be an operand by its address. */
export interface Place {
  /** Where it is, from the script's beginning. */
  readonly place: number;
}

/** An operand of a step. */
export type Operand = number | bigint | Cell | Place;

/** Where a script goes on: the labels of steps. The next step by default. */
export interface Successors {
  /** After a result below 0: a system call has failed. */
  readonly failed?: string;
  /** After a result of 0. */
  readonly zero?: string;
  /** After a result above 0. */
  readonly positive?: string;
  /** Where the result goes. */
  readonly result?: Cell;
}

interface Step extends Successors {
  readonly at: number;
  readonly number: number;
  readonly cells: readonly Cell[];
}

/**
 * The place of a word.
 *
 * @param cell The word.
 * @returns Its place.
 */
export function addressOf({ cell }: Cell): Place {
  return { place: cell };
}

/**
 * Successors for which the result does not matter.
 *
 * @param next The label of the step that follows.
 * @returns They.
 */
export function goingOn(next: string): Successors {
  return { failed: next, zero: next, positive: next };
}

/** A script that is being written. */
export class CallScript {
  readonly #machine: typeof Deno.build.arch;
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(4096);
  #view: DataView<ArrayBuffer> = new DataView(this.#bytes.buffer);
  #length = 0;
  readonly #labels = new Map<string, number>();
  readonly #steps: Step[] = [];
  readonly #constants = new Map<number | bigint, Cell>();
  /** The words that hold addresses: the script's own is to be added. */
  readonly #addresses = new Map<number, number>();
  readonly #nowhere: Cell;
  readonly #zero: Cell;

  /** @param machine The machine that it is for. */
  constructor(machine: typeof Deno.build.arch = Deno.build.arch) {
    this.#machine = machine;
    this.#nowhere = this.cell();
    this.#zero = this.cell();
  }

  /**
   * Makes a word, for results and for operands that change.
   *
   * @param value What is in it at first.
   * @returns The word.
   */
  cell(value: number | bigint = 0): Cell {
    const at = this.#take(WORD);
    this.#view.setBigInt64(at, BigInt(value), true);
    return { cell: at };
  }

  /**
   * Says what is in a word at first.
   *
   * @param cell The word.
   * @param value The value.
   */
  set({ cell }: Cell, value: number | bigint): void {
    this.#view.setBigInt64(cell, BigInt(value), true);
  }

  /**
   * Has a word hold an address.
   *
   * @param cell The word.
   * @param to What it is the address of.
   */
  point({ cell }: Cell, { place }: Place): void {
    this.#addresses.set(cell, place);
  }

  /**
   * Puts bytes into the script.
   *
   * @param bytes The bytes; a string needs its NUL.
   * @returns Where they are.
   */
  bytes(bytes: Uint8Array): Place {
    const at = this.#take(bytes.length);
    this.#bytes.set(bytes, at);
    return { place: at };
  }

  /**
   * Makes an array of addresses, with a NULL behind them.
   *
   * @param places What they are the addresses of.
   * @returns Where the array is.
   */
  pointers(places: readonly Place[]): Place {
    const at = this.#take((places.length + 1) * WORD);
    places.forEach((to, i) => this.point({ cell: at + i * WORD }, to));
    return { place: at };
  }

  /**
   * Adds a step.
   *
   * @param label Its name among the steps; empty where none leads to it.
   * @param call The system call, or what it is else.
   * @param operands Its operands, at most six.
   * @param successors Which step follows.
   */
  step(
    label: string,
    call: SystemCall | keyof typeof OWN,
    operands: readonly Operand[] = [],
    successors: Successors = {},
  ): void {
    if (operands.length > OPERANDS) {
      throw new Error(`${label}: too many operands`);
    }
    if (label !== "" && this.#labels.has(label)) {
      throw new Error(`two steps ${label}`);
    }
    const cells = operands.map((operand) => this.#operand(operand));
    while (cells.length < OPERANDS) cells.push(this.#zero);
    const at = this.#take(STEP_SIZE);
    const number = call in OWN
      ? OWN[call as keyof typeof OWN]
      : systemCall(call as SystemCall, this.#machine);
    this.#labels.set(label, at);
    this.#steps.push({ at, number, cells, ...successors });
  }

  /**
   * Adds a step that puts a value into a word.
   *
   * @param label Its name, as that of any {@linkcode step}.
   * @param cell The word.
   * @param value The value.
   * @param next Which step follows.
   */
  assign(label: string, cell: Cell, value: Operand, next?: string): void {
    const after = next === undefined ? {} : goingOn(next);
    this.add(label, value, 0, { ...after, result: cell });
  }

  /**
   * Adds a step whose result is the sum of two operands.
   *
   * @param label Its name, as that of any {@linkcode step}.
   * @param a The one.
   * @param b The other.
   * @param successors Where the sum goes, and which step follows.
   */
  add(label: string, a: Operand, b: Operand, successors: Successors): void {
    this.step(label, "multiplyAdd", [a, 1, b], successors);
  }

  /**
   * Adds a step whose result is a difference: which of two is larger.
   *
   * @param label Its name, as that of any {@linkcode step}.
   * @param a What something is taken from.
   * @param b What is taken from it.
   * @param successors Where the difference goes, and which step follows.
   */
  subtract(
    label: string,
    a: Operand,
    b: Operand,
    successors: Successors,
  ): void {
    this.step(label, "multiplyAdd", [b, -1, a], successors);
  }

  /**
   * Finishes the script.
   *
   * @param elsewhere Where it will be in memory, a multiple of 8; without it,
   * where its bytes are.
   * @returns Its bytes, and the address of its first step.
   * @throws {Error} When a step follows that is not there.
   */
  link(
    elsewhere?: bigint,
  ): { bytes: Uint8Array<ArrayBuffer>; first: bigint } {
    const address = elsewhere ??
      Deno.UnsafePointer.value(Deno.UnsafePointer.of(this.#bytes));
    this.#steps.forEach((step, index) => {
      const next = this.#steps[index + 1]?.at;
      const target = (label: string | undefined) => {
        const at = label === undefined ? next : this.#labels.get(label);
        if (at === undefined) {
          throw new Error(`no step ${label ?? "after the last one"}`);
        }
        return at;
      };
      const words = [
        ...step.cells.map(({ cell }) => cell),
        (step.result ?? this.#nowhere).cell,
        ...step.number === OWN.return
          ? []
          : [step.failed, step.zero, step.positive].map(target),
      ];
      this.#view.setBigInt64(step.at, BigInt(step.number), true);
      words.forEach((to, i) =>
        this.#addresses.set(step.at + WORD * (1 + i), to)
      );
    });
    for (const [at, to] of this.#addresses) {
      this.#view.setBigUint64(at, address + BigInt(to), true);
    }
    return {
      bytes: this.#bytes.subarray(0, this.#length),
      first: address + BigInt(this.#steps[0]?.at ?? 0),
    };
  }

  /** Where an operand's value is. */
  #operand(operand: Operand): Cell {
    if (typeof operand === "object") {
      if ("cell" in operand) return operand;
      const cell = this.cell();
      this.point(cell, operand);
      return cell;
    }
    const known = this.#constants.get(operand);
    if (known !== undefined) return known;
    const cell = this.cell(operand);
    this.#constants.set(operand, cell);
    return cell;
  }

  #take(size: number): number {
    const at = this.#length;
    this.#length = Math.ceil((at + size) / WORD) * WORD;
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(this.#length * 2);
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }
}
