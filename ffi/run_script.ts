/**
 * Running a script of system calls in this process.
 *
 * @module
 */
import type { CallScript, Cell } from "./call_script.ts";
import { INTERPRETER } from "./interpreter.ts";
import { bind, Errno, errno, LibcError } from "./libc.ts";
import { machineCode, offsetOf } from "./machine_code.ts";

const libc = bind({
  mmap: {
    parameters: [
      "u64", // void *addr
      "usize", // size_t length
      "i32", // int prot
      "i32", // int flags
      "i32", // int fd
      "i64", // off_t offset
    ],
    result: "u64", // void *
  },
  munmap: { parameters: ["u64", /* void *addr */ "usize"], result: "i32" },
  mprotect: {
    parameters: ["u64", /* void *addr */ "usize", "i32" /* int prot */],
    result: "i32",
  },
});

const PROT_READ = 1;
const PROT_WRITE = 2;
const PROT_EXEC = 4;
const MAP_PRIVATE = 2;
const MAP_ANONYMOUS = 0x20;
const MAP_FAILED = 0xffff_ffff_ffff_ffffn;
const PAGE = 4096n;

/** Runs the script whose first step is at an address. */
type Interpreter = (first: bigint) => void;

let interpreter: Interpreter | undefined;

/** A script that is ready to be run, as often as it is wanted. */
export interface ReadyScript {
  /**
   * Runs it from its first step to one that returns. It may fork: its child must
   * not return.
   */
  run(): void;
  /** What is in a word. */
  get(cell: Cell): bigint;
  /** Puts something into a word. */
  set(cell: Cell, value: bigint): void;
}

/**
 * Makes a script ready to be run. Nothing is added to it afterwards.
 *
 * @param script The script.
 * @returns It.
 * @throws {LibcError} `EACCES`, `EPERM` when the system forbids this process to
 * make machine code.
 */
export function readyScript(script: CallScript): ReadyScript {
  const call = interpreter ??= mapInterpreter();
  const { bytes, first } = script.link();
  const view = new DataView(bytes.buffer);
  return {
    run: () => call(first),
    get: ({ cell }) => view.getBigInt64(cell, true),
    set: ({ cell }, value) => view.setBigInt64(cell, value, true),
  };
}

/**
 * Runs a script once.
 *
 * @param script The script.
 * @returns What is in its words afterwards.
 * @throws {LibcError} As {@linkcode readyScript}; nothing was run then.
 */
export function runScript(script: CallScript): (cell: Cell) => bigint {
  const ready = readyScript(script);
  ready.run();
  return ready.get;
}

/** Copies the instructions to memory that is executable, and no longer written. */
function mapInterpreter(): Interpreter {
  const instructions = INTERPRETER[Deno.build.arch];
  const code = machineCode(instructions);
  const address = libc.mmap(
    0n,
    PAGE,
    PROT_READ | PROT_WRITE,
    MAP_PRIVATE | MAP_ANONYMOUS,
    -1,
    0n,
  );
  if (address === MAP_FAILED) throw new LibcError("mmap", errno());
  const pointer = Deno.UnsafePointer.create(address);
  if (pointer === null) throw new LibcError("mmap", Errno.ENOMEM);
  const memory = Deno.UnsafePointerView.getArrayBuffer(pointer, code.length);
  new Uint8Array(memory).set(code);
  if (libc.mprotect(address, PAGE, PROT_READ | PROT_EXEC) === -1) {
    const error = new LibcError("mprotect", errno());
    libc.munmap(address, PAGE);
    throw error;
  }
  const entry = Deno.UnsafePointer.create(
    address + BigInt(offsetOf(instructions, "call")),
  );
  const call = new Deno.UnsafeFnPointer(
    entry as Deno.PointerObject<typeof SIGNATURE>,
    SIGNATURE,
  );
  return call.call.bind(call);
}

const SIGNATURE = { parameters: ["u64"], result: "void" } as const;
