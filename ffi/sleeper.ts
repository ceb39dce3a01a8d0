/**
 * A program of a few hundred bytes that waits in this process's place: it
 * watches descriptors, and when one is ready, starts a program in the same
 * process.
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
import { SIGINFO } from "./child.ts";
import { AT_EMPTY_PATH } from "./file.ts";
import {
  type Guard,
  GUARD_MODES,
  type GuardMode,
  GuardWriter,
  type Late,
} from "./sleeper_guard.ts";
import { PROOF, type Proof, writeProof } from "./sleeper_proof.ts";
import { type Pings, writePings } from "./sleeper_ping.ts";
import { scriptImage, stackRange } from "./script_image.ts";
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
  /** What is proved before the program takes its place, if there is no guard. */
  readonly proof?: Proof | undefined;
  /** A daemon whose pings it answers itself, if there is one, and no guard. */
  readonly pings?: Pings | undefined;
}

const PR_SET_NAME = 15;
const MADV_DONTNEED = 4;
/** `PATH_MAX`: what a longer name fails with is another error. */
const CWD_SIZE = 4096;

/**
 * Makes the program, an ELF file.
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
  const { script, stack } = writeScript(sleep, machine);
  return scriptImage(script, stack, machine);
}

/** Writes the steps: waiting first, and the strings last. */
function writeScript(
  { name, watched, path, keptFd, argv, env, guard, proof, pings }: Sleep,
  machine: typeof Deno.build.arch,
): { script: CallScript; stack: Cell } {
  const script = new CallScript(machine);
  const stack = stackRange(script);
  const result = script.cell();
  const interrupted = script.cell(-Errno.EINTR);
  const fds = script.bytes(new Uint8Array(pollfds(watched).buffer));
  const comm = script.bytes(cString(name));

  // What nobody touches in its sleep.
  const later: (() => void)[] = [];
  const placed = new Map<string, Place>();
  // One environment is like the other but for one entry.
  const place = (string: CString) => {
    const bytes = cString(string);
    const key = bytes.join();
    const there = placed.get(key) ?? script.bytes(bytes);
    placed.set(key, there);
    return there;
  };
  const late: Late = (what) => {
    const cell = script.cell();
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
    sleep("", pings === undefined ? "here" : "ping");
    if (pings !== undefined) writePings(script, pings, fds, watched);
  }

  const [file, args, noPath] = [late(path), late(argv), late("")];
  const execute = ([wake, kept]: readonly [string, string], env: Cell) => {
    // What is proved is one of them, and another one is no way out.
    const failed = !guard && proof ? { failed: PROOF.lack } : {};
    script.step(wake, "execve", [file, args, env], failed);
    const how = [keptFd, noPath, args, env, AT_EMPTY_PATH];
    script.step(kept, "execveat", how, failed);
  };
  const cwd = script.cell();
  const where = script.cell();
  const removed = script.cell(-Errno.ENOENT);
  const second = script.bytes(new Uint8Array(BigInt64Array.of(1n, 0n).buffer));
  const wakeUp = (prefix: GuardMode, env: readonly CString[]) => {
    const wake = `${prefix}wake`;
    const next = guard ? `${prefix}try` : proof ? PROOF.begin : wake;
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
    if (!guard && proof) writeProof(script, proof, late, { file, keptFd });
    execute([wake, `${prefix}kept`], late(env));
    // Nothing can be executed, for now. Whatever woke us is still there then.
    const again = goingOn(guard ? wake : next);
    script.step(`${prefix}wait`, "nanosleep", [second, 0], again);
  };
  wakeUp("", env);
  if (isGuarded) {
    wakeUp("restart ", guard.told.restart.env);
    wakeUp("stop ", guard.told.stop.env);
  }

  later.forEach((place) => place());
  script.point(cwd, script.bytes(new Uint8Array(CWD_SIZE)));
  return { script, stack: stack[0] };
}
