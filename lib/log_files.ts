/**
 * The files that hold what a daemon has written: `FILE` takes it now, `FILE.1`
 * was that before, `FILE.2` before that.
 *
 * Whoever rotates them does not wait for us. But a file only ever moves to the
 * next higher number, from the highest down, so names that are looked at from
 * `FILE` upwards pass none by: what is at a higher number now is met later.
 *
 * @module
 */
import { isThere } from "../ffi/access.ts";
import { fromBytes, toBytes } from "../ffi/c_string.ts";
import { close, readAt } from "../ffi/descriptor.ts";
import { O_NOCTTY, O_NONBLOCK, O_RDONLY } from "../ffi/file.ts";
import {
  type FileStat,
  fstat,
  isRegularFile,
  isSameFile,
  statFile,
} from "../ffi/file_stat.ts";
import { Errno, LibcError } from "../ffi/libc.ts";
import { openOwnWay } from "./foreign_file.ts";

const BLOCK_SIZE = 65536;
const NEWLINE = 0x0a;

/** One for all files: what was read is handed on before more is read. */
let buffer: Uint8Array<ArrayBuffer> | undefined;

/** The names of a daemon's files. */
export interface LogNames {
  /** `FILE`, an absolute path. */
  readonly file: Uint8Array;
  /**
   * How many older ones there may be. With 0 nobody said: they are those before
   * the second number that is missing. In the midst of a rotation one is.
   */
  readonly count: number;
  /** The user whose files they have to be, if they are not to be anybody's. */
  readonly owner: number | undefined;
}

/** One of the files, open. */
export class LogFile {
  /** It. */
  readonly fd: number;
  /** As it was when it was opened. */
  readonly stat: FileStat;
  /** Up to where it was read. */
  position = 0;

  private constructor(fd: number, stat: FileStat) {
    this.fd = fd;
    this.stat = stat;
  }

  /**
   * Opens a file.
   *
   * @param path Its name.
   * @param owner As in {@linkcode LogNames}.
   * @returns The file; `undefined` when it is not there.
   * @throws {Error} When it cannot be read, or should not; says why.
   */
  static open(
    path: Uint8Array,
    owner: number | undefined,
  ): LogFile | undefined {
    let fd: number | undefined;
    try {
      // Not blocking: it may be a FIFO.
      fd = openOwnWay(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
      const stat = fstat(fd);
      const why = reasonAgainst(stat, owner);
      if (why === undefined) return new LogFile(fd, stat);
      throw new Error(`${fromBytes(path)}: ${why}`);
    } catch (error) {
      if (fd !== undefined) close(fd);
      if (!(error instanceof LibcError)) throw error;
      if (error.errno === Errno.ENOENT) return undefined;
      throw new Error(`${fromBytes(path)}: ${error.message}`, { cause: error });
    }
  }

  /** How long it was when it was opened, in bytes. */
  get sizeThen(): number {
    return Number(this.stat.size);
  }

  /** How long it is now. */
  get size(): number {
    return Number(fstat(this.fd).size);
  }

  /**
   * Reads on from where it was read to.
   *
   * One that is shorter by now was copied and cut, and begins anew. If it has
   * grown beyond the old length meanwhile, that cannot be told any more.
   *
   * @returns What comes next, good until something is read again; `undefined` at
   * the end.
   * @throws {LibcError} `EIO`.
   */
  read(): Uint8Array<ArrayBuffer> | undefined {
    for (;;) {
      const block = this.readFrom(this.position, BLOCK_SIZE);
      this.position += block.length;
      if (block.length > 0) return block;
      const { size } = this;
      if (size === this.position) return undefined;
      if (size < this.position) this.position = 0;
    }
  }

  /**
   * Looks for a newline from the end on, without reading what is before it.
   *
   * @param after How many newlines there are to be behind it.
   * @param end Where the file ends, for this.
   * @returns Where the line behind it begins; or, if there is none, how many of
   * those behind it are still to be found in older files.
   * @throws {LibcError} `EIO`.
   */
  findNewline(
    after: number,
    end: number,
  ): { line: number } | { missing: number } {
    let missing = after;
    let next = end;
    while (next > 0) {
      const start = Math.max(0, next - BLOCK_SIZE);
      const block = this.readFrom(start, next - start);
      let i = block.lastIndexOf(NEWLINE);
      while (i !== -1) {
        if (missing === 0) return { line: start + i + 1 };
        missing--;
        // A start before the first byte would be one from the end.
        i = i === 0 ? -1 : block.lastIndexOf(NEWLINE, i - 1);
      }
      next = start;
    }
    return { missing };
  }

  /**
   * Reads somewhere.
   *
   * @param start From where.
   * @param length How much at most.
   * @returns What is there, good until something is read again.
   * @throws {LibcError} `EIO`.
   */
  readFrom(start: number, length: number): Uint8Array<ArrayBuffer> {
    buffer ??= new Uint8Array(BLOCK_SIZE);
    const part = buffer.subarray(0, length);
    return part.subarray(0, readAt(this.fd, part, BigInt(start)));
  }

  /** Closes it. */
  close(): void {
    close(this.fd);
  }
}

function reasonAgainst(
  stat: FileStat,
  owner: number | undefined,
): string | undefined {
  if (!isRegularFile(stat)) return "not a regular file";
  if (owner === undefined || stat.uid === owner) return undefined;
  return `it belongs to user ${stat.uid}, and it is user ${owner} who says ` +
    "that it is the output; not read";
}

/** What was found of the files. */
export interface NewerFiles {
  /** Those that are newer, from the oldest on. */
  readonly files: LogFile[];
  /** Whether the known one was there that they are newer than. */
  readonly isJoined: boolean;
}

/**
 * Opens the files that are newer than the newest that is known.
 *
 * Were they rotated while we look, a new file could be met behind an older one.
 * So all that were opened are looked for again: a file never comes back to a
 * lower number, and one that is where it was has been there all the time. So
 * between the two looks this was their order. What has come since and was not
 * met is newer still.
 *
 * @param names Their names.
 * @param known Those that are known, open: so no other file has their inodes.
 * When none is there any more all are newer; but where nobody said how many
 * there may be, only `FILE`: somebody moves them elsewhere, and what has a number
 * may have lain there for long.
 * @returns The files.
 * @throws {Error} As {@linkcode LogFile.open}.
 */
export function openNewer(
  names: LogNames,
  known: readonly LogFile[],
): NewerFiles {
  for (;;) {
    const seen: Seen[] = [];
    try {
      const isJoined = lookUpwards(names, known, seen);
      const areNumbersTrue = isJoined || known.length === 0 || names.count > 0;
      const kept = seen.filter(({ age }) => areNumbersTrue || age === 0);
      if (seen.every(({ path, file }) => isAt(path, file))) {
        seen.splice(0).filter((one) => !kept.includes(one)).forEach(closeSeen);
        return { files: kept.map(({ file }) => file).reverse(), isJoined };
      }
    } finally {
      seen.forEach(closeSeen);
    }
  }
}

/** A file where it was met. */
interface Seen {
  readonly age: number;
  readonly path: Uint8Array;
  readonly file: LogFile;
}

function closeSeen({ file }: Seen): void {
  file.close();
}

/** Opens one after the other; says whether it has come to a known one. */
function lookUpwards(
  { file: first, count, owner }: LogNames,
  known: readonly LogFile[],
  seen: Seen[],
): boolean {
  let missing = 0;
  for (let age = 0; count === 0 || age <= count; age++) {
    const path = nameOf(first, age);
    const stat = statIfThere(path);
    if (stat !== undefined) {
      if (known.some((file) => isSameFile(file.stat, stat))) return true;
      const file = LogFile.open(path, owner);
      if (file !== undefined) seen.push({ age, path, file });
    } else if (++missing === 2 && count === 0) {
      break;
    }
  }
  return false;
}

function isAt(path: Uint8Array, { stat }: LogFile): boolean {
  const now = statIfThere(path);
  return now !== undefined && isSameFile(now, stat);
}

function statIfThere(path: Uint8Array): FileStat | undefined {
  // First without an error, which costs: most numbers are not there.
  if (!isThere(path)) return undefined;
  try {
    return statFile(path);
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    if (error.errno === Errno.ENOENT) return undefined;
    throw new Error(`${fromBytes(path)}: ${error.message}`, { cause: error });
  }
}

function nameOf(file: Uint8Array, age: number): Uint8Array {
  return age === 0 ? file : Uint8Array.of(...file, ...toBytes(`.${age}`));
}
