/**
 * The arguments of this process, as they were given and as `ps` shows them.
 *
 * @module
 */
import { type CString, toBytes } from "./c_string.ts";
import { readFile } from "./file.ts";
import { bind, checked } from "./libc.ts";
import { procStat } from "./process.ts";

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
const MM_MAP = { size: 104, auxvSize: 96, exeFd: 100 } as const;

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
/** What the kernel shows as our arguments. It reads it whenever it likes. */
let title: Uint8Array<ArrayBuffer> | undefined;

/**
 * The arguments of this process as bytes; `Deno.args` has replaced what is not
 * UTF-8.
 *
 * @returns The arguments, with the program's name first.
 * @throws {LibcError} When `/proc` is not mounted.
 */
export function readArgv(): Uint8Array<ArrayBuffer>[] {
  const bytes = readFile("/proc/self/cmdline");
  const args: Uint8Array<ArrayBuffer>[] = [];
  let start = 0;
  for (;;) {
    const end = bytes.indexOf(0, start);
    if (end === -1) return args;
    args.push(bytes.slice(start, end));
    start = end + 1;
  }
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
  if (title === undefined) {
    const place = new Uint8Array(TITLE_SIZE);
    moveArgv(BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(place))));
    title = place;
  }
  title.fill(0);
  title.set(toBytes(text).subarray(0, TITLE_SIZE - 1));
}

function moveArgv(argStart: bigint): void {
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
    argStart,
    argStart + BigInt(TITLE_SIZE),
    field(STAT.envStart),
    field(STAT.envEnd),
    0n, // auxv: as it is
  ].forEach((value, i) => map.setBigUint64(8 * i, value, true));
  map.setUint32(MM_MAP.exeFd, 0xffff_ffff, true);
  const bytes = new Uint8Array(map.buffer);
  const size = BigInt(MM_MAP.size);
  const { prctl, sbrk } = libc;
  // The end of the heap last: an allocation may move it.
  map.setBigUint64(8 * 5, sbrk(0n), true);
  checked(
    "prctl(PR_SET_MM_MAP)",
    prctl(PR_SET_MM, PR_SET_MM_MAP, bytes, size, 0n),
  );
}
