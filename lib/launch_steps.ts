/**
 * Writing a script of system calls from top to bottom, where most steps must
 * not fail.
 *
 * @module
 */
import {
  addressOf,
  CallScript,
  type Cell,
  type Operand,
  type Place,
  type Successors,
} from "../ffi/call_script.ts";
import { type CString, cString } from "../ffi/c_string.ts";
import { AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW } from "../ffi/file.ts";
import type { SystemCall } from "../ffi/system_calls.ts";

/**
 * `struct stat`. Its first four words are device and inode, and mode, number of
 * links and owner, in another order on x86-64 and aarch64.
 */
const STAT = { size: 144, same: [0, 8, 16, 24], length: 48 } as const;

/** Where a step goes on; `then` is for every result but failure. */
export interface Outcome extends Successors {
  /** After a result that is not below 0. */
  readonly then?: string;
}

/** A script that is written from top to bottom. */
export class ScriptWriter {
  /** The script. */
  readonly script: CallScript = new CallScript();
  readonly #zero = this.cell();
  readonly #noPath = this.string("");
  readonly #named = this.stat();
  #label: string | undefined;
  #count = 0;

  /** Names the next step. */
  label(label: string): void {
    this.#label = label;
  }

  /** Adds a step. */
  add(
    call: SystemCall | "return" | "differ" | "decimal",
    operands: readonly Operand[] = [],
    { then, ...successors }: Outcome = {},
  ): void {
    const label = this.#label ?? `${call} ${this.#count++}`;
    this.#label = undefined;
    const next = then === undefined ? {} : { zero: then, positive: then };
    this.script.step(label, call, operands, { ...next, ...successors });
  }

  /** Adds a step that goes elsewhere when it fails. */
  must(
    failed: string,
    call: SystemCall,
    operands: readonly Operand[],
    outcome: Outcome = {},
  ): void {
    this.add(call, operands, { ...outcome, failed });
  }

  /** Goes elsewhere when two words differ. */
  mustEqual(otherwise: string, a: Place, b: Place, then?: string): void {
    this.add("differ", [a, b], {
      positive: otherwise,
      ...(then !== undefined && { zero: then }),
    });
  }

  /** Goes elsewhere when a word is 0. */
  skipUnless(cell: Cell, zero: string): void {
    this.add("differ", [addressOf(cell), addressOf(this.#zero)], { zero });
  }

  /** Looks at an open file. */
  look(failed: string, fd: Cell | number, stat: Place): void {
    const operands = [fd, this.#noPath, stat, AT_EMPTY_PATH];
    this.must(failed, "newfstatat", operands);
  }

  /** Looks at the file of a name, or at a symbolic link. */
  lookAt(failed: string, name: Place, stat: Place): void {
    const operands = [AT_FDCWD, name, stat, AT_SYMLINK_NOFOLLOW];
    this.must(failed, "newfstatat", operands);
  }

  /** Goes elsewhere when a name is not that of a file that was looked at. */
  mustName(otherwise: string, name: Place, stat: Place): void {
    this.lookAt(otherwise, name, this.#named);
    this.mustBeSame(otherwise, stat, this.#named);
  }

  /**
   * Goes elsewhere when two looks were not at one file, or it has changed its
   * mode, its owner or its number of links.
   */
  mustBeSame(otherwise: string, a: Place, b: Place): void {
    for (const offset of STAT.same) {
      const [in_a, in_b] = [a, b].map(({ place }) => ({
        place: place + offset,
      })) as [Place, Place];
      this.mustEqual(otherwise, in_a, in_b);
    }
  }

  /** How long a file was when it was looked at. */
  lengthOf({ place }: Place): Cell {
    return { cell: place + STAT.length };
  }

  /** Ends the process; its status is 0. */
  end(label: string): void {
    this.label(label);
    this.add("exit_group", [0], { failed: label, then: label });
  }

  /** Makes a word. */
  cell(value?: number): Cell {
    return this.script.cell(value);
  }

  /** Makes room. */
  room(size: number): Place {
    return this.script.bytes(new Uint8Array(size));
  }

  /** Makes room for a look at a file. */
  stat(): Place {
    return this.room(STAT.size);
  }

  /** Puts words there. */
  words(...words: readonly bigint[]): Place {
    const signed = words.map((word) => BigInt.asIntN(64, word));
    return this.script.bytes(new Uint8Array(BigInt64Array.from(signed).buffer));
  }

  /** Puts a string there. */
  string(text: CString): Place {
    return this.script.bytes(cString(text));
  }
}
