/**
 * The arguments of this process, as they were given and as `ps` shows them.
 *
 * @module
 */
import { type CString, splitStrings, toBytes } from "./c_string.ts";
import { readFile } from "./file.ts";
import { bind, checked } from "./libc.ts";
import { procStat } from "./proc.ts";

const libc = bind({
  prctl: {
    parameters: ["i32", /* int op */ "u64", "buffer", "u64", "u64"],
    result: "i32",
  },
  sbrk: { parameters: ["i64" /* intptr_t */], result: "u64" }, // void *
});

const PR_SET_MM = 35;
const PR_SET_MM_MAP = 14n;

/** `struct prctl_mm_map`, the same on x86-64 and aarch64. */
const MM_MAP = {
  size: 104,
  brk: 40,
  argStart: 56,
  argEnd: 64,
  exeFd: 100,
} as const;

/** Where fields of `/proc/self/stat` stand, counted from the third as 0. */
const STAT = {
  startCode: 23,
  endCode: 24,
  startStack: 25,
  startData: 42,
  endData: 43,
  startBrk: 44,
  argStart: 45,
  argEnd: 46,
  envStart: 47,
  envEnd: 48,
} as const;

const TITLE_SIZE = 4096;

/** Where the kernel looks for our arguments. */
interface ArgvPlace {
  /** The `struct prctl_mm_map` that says so. */
  readonly map: DataView<ArrayBuffer>;
  /** Where they were at first, and where they ended. */
  readonly original: readonly [start: bigint, end: bigint];
  /** Our own place for them. The kernel reads it whenever it likes. */
  readonly title: Uint8Array<ArrayBuffer>;
}

let place: ArgvPlace | undefined;

/**
 * The arguments of this process, as they were given.
 *
 * @returns The arguments as bytes, with the program's name first.
 * @throws {LibcError} When `/proc` is not mounted.
 */
export function readArgv(): Uint8Array<ArrayBuffer>[] {
  if (place === undefined) return shownArgv();
  const [start, end] = place.original;
  const pointer = Deno.UnsafePointer.create(start);
  if (pointer === null) return [];
  const bytes = new Uint8Array(Number(end - start));
  Deno.UnsafePointerView.copyInto(pointer, bytes);
  return splitStrings(bytes);
}

/**
 * What `ps` shows of this process: its arguments, or the text that was set.
 *
 * @returns It as arguments.
 * @throws {LibcError} When `/proc` is not mounted.
 */
export function shownArgv(): Uint8Array<ArrayBuffer>[] {
  return splitStrings(readFile("/proc/self/cmdline"));
}

/**
 * The arguments that `Deno.args` stands for, as bytes. It has replaced what is
 * not UTF-8; in the executable that `scripts/build.ts` makes all of them are
 * empty there, and only their number is right.
 *
 * @returns The arguments, without what comes before them.
 * @throws {LibcError} When `/proc` is not mounted.
 */
export function readArgs(): Uint8Array<ArrayBuffer>[] {
  const argv = readArgv();
  return argv.slice(argv.length - Deno.args.length);
}

/**
 * Sets what `ps` shows of this process.
 *
 * Until now that was its arguments, beside its environment on the stack. A
 * longer text would run over the environment, so the kernel is told of another
 * place instead.
 *
 * @param text The text, or arguments with a NUL behind each; what is over 4095
 * bytes is cut.
 * @throws {LibcError} When the kernel refuses, as one without
 * `CONFIG_CHECKPOINT_RESTORE` does.
 */
export function setArgv(text: CString): void {
  const { title } = place ??= findArgv();
  const bytes = toBytes(text).subarray(0, TITLE_SIZE - 1);
  const start = BigInt(
    Deno.UnsafePointer.value(Deno.UnsafePointer.of(title)),
  );
  title.fill(0);
  title.set(bytes);
  moveArgv(place, start, start + BigInt(bytes.length + 1));
}

/**
 * Shows the arguments again, as they were given.
 *
 * @throws {LibcError} When the kernel refuses.
 */
export function restoreArgv(): void {
  if (place !== undefined) moveArgv(place, ...place.original);
}

function findArgv(): ArgvPlace {
  const stat = procStat("self") ?? [];
  const field = (index: number) => BigInt(stat[index] ?? 0);
  const map = new DataView(new ArrayBuffer(MM_MAP.size));
  [
    field(STAT.startCode),
    field(STAT.endCode),
    field(STAT.startData),
    field(STAT.endData),
    field(STAT.startBrk),
    0n,
    field(STAT.startStack),
    0n,
    0n,
    field(STAT.envStart),
    field(STAT.envEnd),
    0n, // auxv: as it is
  ].forEach((value, i) => map.setBigUint64(8 * i, value, true));
  map.setUint32(MM_MAP.exeFd, 0xffff_ffff, true);
  return {
    map,
    original: [field(STAT.argStart), field(STAT.argEnd)],
    title: new Uint8Array(TITLE_SIZE),
  };
}

function moveArgv({ map }: ArgvPlace, start: bigint, end: bigint): void {
  map.setBigUint64(MM_MAP.argStart, start, true);
  map.setBigUint64(MM_MAP.argEnd, end, true);
  const bytes = new Uint8Array(map.buffer);
  const size = BigInt(MM_MAP.size);
  const { prctl, sbrk } = libc;
  // The end of the heap last: an allocation may move it.
  map.setBigUint64(MM_MAP.brk, sbrk(0n), true);
  checked(
    "prctl(PR_SET_MM_MAP)",
    prctl(PR_SET_MM, PR_SET_MM_MAP, bytes, size, 0n),
  );
}
