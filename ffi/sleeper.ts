/**
 * A program of a few hundred bytes that waits in this process's place: it
 * watches descriptors, and when one is ready, starts a program in the same
 * process.
 *
 * @module
 */
import { addressOf, CallScript, type Cell } from "./call_script.ts";
import { type CString, cString } from "./c_string.ts";
import { AT_EMPTY_PATH } from "./file.ts";
import { INTERPRETER } from "./interpreter.ts";
import {
  type Guard,
  GUARD_MODES,
  type GuardMode,
  GuardWriter,
  type Late,
} from "./sleeper_guard.ts";
import { SIGINFO } from "./process.ts";
import { machineCode, offsetOf } from "./machine_code.ts";
import { TrialWriter } from "./sleeper_trial.ts";
import { Errno } from "./libc.ts";
import { KERNEL_SIGSET_SIZE } from "./signal.ts";
import { pollfds } from "./wait.ts";

/** What a sleeper waits for, and what it starts then. */
export interface Sleep {
  /** Its name, `comm` in `/proc`; the kernel keeps 15 bytes of it. */
  readonly name: CString;
  /** It wakes when one of these can be read or its other end is gone. */
  readonly watched: readonly number[];
  /** The program that it starts. */
  readonly path: CString;
  /** A descriptor of a program, for when the path leads to none. */
  readonly keptFd: number;
  /** The arguments of both, with the name first. */
  readonly argv: readonly CString[];
  /** The environment of both. */
  readonly env: readonly CString[];
  /** A daemon for which it acts itself, if there is one. */
  readonly guard?: Guard | undefined;
}

const PR_SET_NAME = 15;
const MADV_DONTNEED = 4;
/** `PATH_MAX`: what a longer name fails with is another error. */
const CWD_SIZE = 4096;

/** `Elf64_Ehdr`, `Elf64_Phdr`: sizes, and `e_machine`. */
const EHDR_SIZE = 64;
const PHDR_SIZE = 56;
const E_MACHINE = { x86_64: 62, aarch64: 183 } as const;
const ET_EXEC = 2;
const PT_LOAD = 1;
const PT_GNU_STACK = 0x6474e551;
const PF_X = 1;
const PF_W = 2;
const PF_R = 4;
/** The largest page of each machine: so far apart are the two segments. */
const PAGE = { x86_64: 0x1000, aarch64: 0x10000 } as const;
/** Where the instructions are in memory; the script is in the next page. */
const CODE = 0x400000;

/**
 * Makes the program, an ELF file. Its instructions are never writable, and its
 * script is never executable.
 *
 * What is needed for waiting is at the script's beginning, in one page; the
 * arguments and the environment follow, and are not touched until it wakes.
 *
 * @param sleep What it waits for, and what it starts then.
 * @param machine The machine that it is for.
 * @returns The file.
 * @throws {TypeError} When a string holds a NUL.
 */
export function sleeperImage(
  sleep: Sleep,
  machine: typeof Deno.build.arch = Deno.build.arch,
): Uint8Array<ArrayBuffer> {
  const page = PAGE[machine];
  const { script, stack } = writeScript(sleep, machine);
  const { bytes, first } = script.link(BigInt(CODE + page));
  const instructions = INTERPRETER[machine];
  const code = machineCode(instructions);
  const codeAt = EHDR_SIZE + 3 * PHDR_SIZE;
  const entry = CODE + codeAt + offsetOf(instructions, "image");

  const image = new Uint8Array(page + bytes.length);
  image.set(code, codeAt);
  image.set(bytes, page);
  const view = new DataView(image.buffer);
  const literal = (name: string, value: bigint) =>
    view.setBigUint64(codeAt + offsetOf(instructions, name), value, true);
  literal("script", first);
  literal("stack", BigInt(CODE + page + stack));

  // e_ident: ELF, 64 bits, little-endian, version 1.
  image.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, ET_EXEC, true);
  view.setUint16(18, E_MACHINE[machine], true);
  view.setUint32(20, 1, true); // e_version
  view.setBigUint64(24, BigInt(entry), true);
  view.setBigUint64(32, BigInt(EHDR_SIZE), true); // e_phoff
  view.setUint16(52, EHDR_SIZE, true);
  view.setUint16(54, PHDR_SIZE, true);
  view.setUint16(56, 3, true); // e_phnum
  const segment = (
    index: number,
    type: number,
    flags: number,
    offset: number,
    size: number,
  ) => {
    const at = EHDR_SIZE + index * PHDR_SIZE;
    view.setUint32(at, type, true);
    view.setUint32(at + 4, flags, true);
    if (type !== PT_LOAD) return;
    view.setBigUint64(at + 8, BigInt(offset), true);
    view.setBigUint64(at + 16, BigInt(CODE + offset), true); // p_vaddr
    view.setBigUint64(at + 24, BigInt(CODE + offset), true); // p_paddr
    view.setBigUint64(at + 32, BigInt(size), true); // p_filesz
    view.setBigUint64(at + 40, BigInt(size), true); // p_memsz
    view.setBigUint64(at + 48, BigInt(page), true); // p_align
  };
  segment(0, PT_LOAD, PF_R | PF_X, 0, codeAt + code.length);
  segment(1, PT_LOAD, PF_R | PF_W, page, bytes.length);
  segment(2, PT_GNU_STACK, PF_R | PF_W, 0, 0);
  return image;
}

/** Writes the steps: waiting first, and the strings last. */
function writeScript(
  { name, watched, path, keptFd, argv, env, guard }: Sleep,
  machine: typeof Deno.build.arch,
): { script: CallScript; stack: number } {
  const script = new CallScript(machine);
  const stack = [script.cell(), script.cell()] as const;
  const result = script.cell();
  const interrupted = script.cell(-Errno.EINTR);
  const fds = script.bytes(new Uint8Array(pollfds(watched).buffer));
  const comm = script.bytes(cString(name));

  // What nobody touches in its sleep.
  const later: (() => void)[] = [];
  const late: Late = (what) => {
    const cell = script.cell();
    const place = (string: CString) => script.bytes(cString(string));
    later.push(() =>
      script.point(
        cell,
        typeof what === "string" || what instanceof Uint8Array
          ? place(what)
          : script.pointers(what.map(place)),
      )
    );
    return cell;
  };

  const info = script.bytes(new Uint8Array(SIGINFO.size));
  const guarded = guard && {
    pass: new GuardWriter(script, guard, info, late),
    trial: new TrialWriter(script, guard, info, late),
  };

  const isGuarded = guard?.pid !== undefined;
  script.step("name", "prctl", [PR_SET_NAME, comm]);
  // A page or two that the kernel has filled for a program that needs a stack.
  script.step("shrink", "madvise", [...stack, MADV_DONTNEED]);
  const begin = isGuarded ? `${guard.mode}peek` : "sleep";
  guarded?.trial.begin(isGuarded ? GUARD_MODES : [""], begin);
  const sleep = (prefix: string, ready: string) => {
    const size = KERNEL_SIGSET_SIZE;
    script.step(`${prefix}sleep`, "ppoll", [fds, watched.length, 0, 0, size], {
      result,
      failed: `${prefix}why`,
      zero: ready,
      positive: ready,
    });
    // By SIGSTOP and SIGCONT, perhaps: there is no handler that could have run.
    const why = [addressOf(result), addressOf(interrupted)];
    script.step(`${prefix}why`, "differ", why, {
      zero: `${prefix}sleep`,
      positive: `${prefix}here`,
    });
  };
  if (isGuarded) {
    for (const mode of GUARD_MODES) {
      guarded?.pass.pass(guard.pid, mode, () => sleep(mode, `${mode}read`));
    }
  } else {
    sleep("", "here");
  }

  const [file, args, noPath] = [late(path), late(argv), late("")];
  const execute = ([wake, kept]: readonly [string, string], env: Cell) => {
    script.step(wake, "execve", [file, args, env]);
    script.step(kept, "execveat", [keptFd, noPath, args, env, AT_EMPTY_PATH]);
  };
  const cwd = script.cell();
  const where = script.cell();
  const removed = script.cell(-Errno.ENOENT);
  const second = script.bytes(new Uint8Array(BigInt64Array.of(1n, 0n).buffer));
  const wakeUp = (prefix: GuardMode, env: readonly CString[]) => {
    const next = guard ? `${prefix}try` : `${prefix}wake`;
    // Without a working directory Deno would not start: it was removed meanwhile.
    script.step(`${prefix}here`, "getcwd", [cwd, CWD_SIZE], {
      result: where,
      failed: `${prefix}gone`,
      zero: next,
      positive: next,
    });
    const gone = [addressOf(where), addressOf(removed)];
    script.step(`${prefix}gone`, "differ", gone, { positive: next });
    script.step(`${prefix}leave`, "chdir", [late("/")]);
    guarded?.trial.try(prefix, execute);
    const wake = `${prefix}wake`;
    execute([wake, `${prefix}kept`], late(env));
    // Nothing can be executed, for now. Whatever woke us is still there then.
    script.step(`${prefix}wait`, "nanosleep", [second, 0], {
      failed: wake,
      zero: wake,
      positive: wake,
    });
  };
  wakeUp("", env);
  if (isGuarded) {
    wakeUp("restart ", guard.told.restart.env);
    wakeUp("stop ", guard.told.stop.env);
  }

  later.forEach((place) => place());
  script.point(cwd, script.bytes(new Uint8Array(CWD_SIZE)));
  return { script, stack: stack[0].cell };
}
