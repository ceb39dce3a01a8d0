/**
 * A program of a few hundred bytes that passes on what another one writes,
 * until it is told to stop; from then on it throws that away.
 *
 * @module
 */
import {
  addressOf,
  CallScript,
  type Cell,
  goingOn,
  type Place,
} from "./call_script.ts";
import { type CString, cString } from "./c_string.ts";
import { scriptImage, stackRange } from "./script_image.ts";
import { KERNEL_SIGSET_SIZE } from "./signal.ts";
import { pollfds, POLLOUT } from "./wait.ts";

/** The descriptors of a relay, and what it writes. */
export interface Relay {
  /** Its name, `comm` in `/proc`; the kernel keeps 15 bytes of it. */
  readonly name: CString;
  /** What it reads: a pipe that does not block. */
  readonly input: number;
  /** What it writes. */
  readonly output: number;
  /**
   * A pipe that does not block. While it is open and empty the relay passes on
   * what comes. Each byte in it then stands for one piece that is passed on if
   * it is there already; its end tells that the rest is not wanted any more.
   */
  readonly control: number;
  /** The write end of a pipe: closed when nothing more is passed on. */
  readonly done: number;
  /** What is written before each piece. */
  readonly prefix: CString;
}

const PR_SET_NAME = 15;
const MADV_DONTNEED = 4;
/** As much as a pipe takes in one go when it can be written at all. */
const PIECE = 4096;
/** So many pieces a pipe holds, and one that is being read. */
const PIPE_PIECES = 17;
/** So long a reader may take, all in all, that reads what has come before. */
const PATIENCE = BigInt64Array.of(2n, 0n);

/** What is written to a relay's control pipe to have all passed on. */
export const DRAIN: Uint8Array<ArrayBuffer> = new Uint8Array(PIPE_PIECES);

/**
 * Makes the program, an ELF file. It ends when nobody has the pipe open any
 * more that it reads.
 *
 * It writes only when that can be done at once. A reader of its output that does
 * not read holds up whoever writes, as it would without a relay; but not any
 * more when that is told to stop.
 *
 * @param relay Its descriptors.
 * @param machine The machine that it is for.
 * @returns The file.
 */
export function relayImage(
  { name, input, output, control, done, prefix }: Relay,
  machine: typeof Deno.build.arch = Deno.build.arch,
): Uint8Array<ArrayBuffer> {
  const script = new CallScript(machine);
  const stack = stackRange(script);
  const byte = script.cell();
  const before = script.bytes(cString(prefix));
  const piece = script.bytes(new Uint8Array(PIECE));
  const vector = script.bytes(new Uint8Array(4 * 8));
  const word = (index: number): Cell => ({ cell: vector.place + index * 8 });
  script.point(word(0), before);
  script.set(word(1), cString(prefix).length - 1);
  script.point(word(2), piece);
  const length = word(3);

  const wait = (
    label: string,
    fds: readonly DataView<ArrayBuffer>[],
    next: string,
    timeout: Place | 0 = 0,
    over = next,
  ) => {
    const polled = new Uint8Array(8 * fds.length);
    fds.forEach((fd, i) => polled.set(new Uint8Array(fd.buffer), 8 * i));
    const operands = [script.bytes(polled), fds.length, timeout, 0];
    script.step(label, "ppoll", [...operands, KERNEL_SIGSET_SIZE], {
      failed: next,
      zero: over,
      positive: next,
    });
  };
  const [toRead, toWrite, told] = [
    pollfds([input]),
    pollfds([output], POLLOUT),
    pollfds([control]),
  ];
  const listen = (label: string, silent: string) =>
    script.step(label, "read", [control, addressOf(byte), 1], {
      failed: silent,
      zero: "stop",
      positive: "drain",
    });
  const pass = (label: string, none: string, failed: string, next: string) => {
    script.step(label, "read", [input, piece, PIECE], {
      result: length,
      failed: none,
      zero: "last",
    });
    const operands = [output, vector, 2];
    script.step(`${label} write`, "writev", operands, {
      failed,
      zero: next,
      positive: next,
    });
  };

  script.step("name", "prctl", [PR_SET_NAME, script.bytes(cString(name))]);
  // A page or two that the kernel has filled for a program that needs a stack.
  script.step("shrink", "madvise", [...stack, MADV_DONTNEED]);

  wait("wait", [toRead, told], "told?");
  listen("told?", "room");
  wait("room", [toWrite, told], "still told?");
  listen("still told?", "pass");
  pass("pass", "wait", "stop", "wait");

  // The kernel counts down in it.
  const patience = script.bytes(new Uint8Array(PATIENCE.slice().buffer));
  wait("drain", [toWrite], "rest", patience, "stop");
  pass("rest", "erase", "stop", "more?");
  listen("more?", "erase");

  // It can be written, by now; what others write there next needs it, too.
  const erase = [output, before, word(1)];
  script.step("erase", "write", erase, goingOn("stop"));
  script.step("stop", "close", [output], goingOn("stopped"));
  script.step("stopped", "close", [control], goingOn("say so"));
  script.step("say so", "close", [done], goingOn("idle"));
  wait("idle", [toRead], "drop");
  script.step("drop", "read", [input, piece, PIECE], {
    failed: "idle",
    zero: "end",
    positive: "drop",
  });
  script.step("last", "write", erase, goingOn("end"));
  script.step("end", "exit_group", [0], goingOn("end"));
  return scriptImage(script, stack[0], machine);
}
