/**
 * What the script of a logger, `logger.ts`, asks of files before it writes to
 * them: whether a name is still the file's, and whose a file is.
 *
 * @module
 */
import {
  type CallScript,
  type Cell,
  goingOn,
  type Place,
  type Successors,
} from "./call_script.ts";
import { cString } from "./c_string.ts";
import { AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW } from "./file.ts";
import { Errno } from "./libc.ts";
import { geteuid } from "./user.ts";

/** Half a word: what stands behind a number of 32 bits is divided off by it. */
const HALF = 2n ** 32n;
/** The kernel's `struct stat`, by its words. */
const STAT = {
  size: 144,
  dev: 0,
  ino: 8,
  /** The permission bits come first there. */
  mode: { x86_64: 24, aarch64: 16 },
  links: {
    x86_64: { at: 16, part: "all" },
    aarch64: { at: 16, part: "upper half" },
  },
  uid: {
    x86_64: { at: 24, part: "upper half" },
    aarch64: { at: 24, part: "lower half" },
  },
} as const;

/** Writes the steps that look at files, and knows what they have seen. */
export class LogLook {
  /** The mode of what was looked at last that is open; 32 bits follow it. */
  readonly mode: Cell;
  readonly #script: CallScript;
  readonly #machine: typeof Deno.build.arch;
  readonly #error: Cell;
  readonly #named: Place;
  readonly #opened: Place;

  /**
   * @param script The script.
   * @param machine The machine that it is for.
   * @param error Where it is noted why a look has failed: an errno below 0.
   */
  constructor(
    script: CallScript,
    machine: typeof Deno.build.arch,
    error: Cell,
  ) {
    this.#script = script;
    this.#machine = machine;
    this.#error = error;
    this.#named = script.bytes(new Uint8Array(STAT.size));
    this.#opened = script.bytes(new Uint8Array(STAT.size));
    this.mode = { cell: this.#opened.place + STAT.mode[machine] };
  }

  /**
   * Adds the steps that find out whether a file still has its name.
   *
   * @param label Where they begin.
   * @param path The name.
   * @param fd The file.
   * @param moved What follows if not.
   * @param ours What follows if it has.
   * @param unknown What follows if that is not to be learnt.
   */
  compare(
    label: string,
    path: Place,
    fd: Cell,
    moved: string,
    ours: string,
    unknown: string,
  ): void {
    const script = this.#script;
    const [named, opened] = [this.#named, this.#opened];
    this.find(label, path, moved, unknown);
    this.#lookAtOpen("", fd, unknown);
    const words = (at: number) =>
      [named, opened].map(({ place }) => ({ place: place + at }));
    script.step("", "differ", words(STAT.dev), { positive: moved });
    script.step("", "differ", words(STAT.ino), { positive: moved, zero: ours });
  }

  /**
   * Adds the steps that look for a file; what follows is for when it is there.
   *
   * @param label Where they begin.
   * @param path Its name.
   * @param none What follows if there is none.
   * @param unknown What follows if that is not to be learnt.
   */
  find(label: string, path: Place, none: string, unknown: string): void {
    const script = this.#script;
    const result = this.#error;
    const operands = [AT_FDCWD, path, this.#named, AT_SYMLINK_NOFOLLOW];
    script.step(label, "newfstatat", operands, { result });
    // After any other error there may be one.
    const absent = -Errno.ENOENT;
    script.subtract("", result, absent, { zero: none });
    script.subtract("", result, 0, { failed: unknown });
  }

  /**
   * Adds the steps that look whether another user has put a file where anybody
   * can, or a second name for one of ours. It is what is asked of a file before a
   * logger is started.
   *
   * @param fd The file.
   * @param inDirectory Where it is.
   * @param foreign What follows if one has, or that is not to be learnt.
   * @param ours What follows if not.
   */
  refuseForeign(
    fd: Cell,
    inDirectory: Place,
    foreign: string,
    ours: string,
  ): void {
    const script = this.#script;
    this.#lookAtOpen("", fd, foreign);
    const directory = [AT_FDCWD, inDirectory, this.#named, 0];
    script.step("", "newfstatat", directory, { failed: foreign });
    // Bit 1: whether others may write.
    const mode = { cell: this.#named.place + STAT.mode[this.#machine] };
    const [half, quarter] = [script.cell(), script.cell()];
    script.step("", "divide", [mode, 2], { result: half });
    script.step("", "divide", [half, 2], { result: quarter });
    script.step("", "multiplyAdd", [quarter, -2, half], { zero: ours });
    this.compareOwner("", { failed: foreign, positive: foreign });
    const links = this.#ofOpened("", STAT.links[this.#machine]);
    script.subtract("", links, 1, { ...goingOn(ours), positive: foreign });
  }

  /**
   * Adds the steps that compare who owns what was looked at last that is open
   * with us.
   *
   * @param label Where they begin.
   * @param successors What follows if it is another.
   */
  compareOwner(label: string, successors: Successors): void {
    const owner = this.#ofOpened(label, STAT.uid[this.#machine]);
    this.#script.subtract("", owner, geteuid(), successors);
  }

  /** Adds a step that looks at what is open. */
  #lookAtOpen(label: string, fd: Cell, failed: string): void {
    const noPath = this.#script.bytes(cString(""));
    const operands = [fd, noPath, this.#opened, AT_EMPTY_PATH];
    this.#script.step(label, "newfstatat", operands, {
      result: this.#error,
      failed,
    });
  }

  /** Adds the steps that take a number out of what was looked at. */
  #ofOpened(
    label: string,
    { at, part }: { at: number; part: "all" | "upper half" | "lower half" },
  ): Cell {
    const script = this.#script;
    const word = { cell: this.#opened.place + at };
    const [upper, lower] = [script.cell(), script.cell()];
    if (part === "all") {
      script.assign(label, lower, word);
      return lower;
    }
    script.step(label, "divide", [word, HALF], { result: upper });
    if (part === "upper half") return upper;
    script.step("", "multiplyAdd", [upper, -HALF, word], { result: lower });
    return lower;
  }
}
