/**
 * Trying what a command is to find before anything is forked or written for it:
 * in a child that does nothing else, and ends.
 *
 * Only there can all be tried as it will be: what the user may enter and execute,
 * what limits the system allows, whether root is given up for good.
 *
 * @module
 */
import { fromBytes } from "../../ffi/c_string.ts";
import { waitpid } from "../../ffi/child.ts";
import { close, pipe2, read, writeFully } from "../../ffi/descriptor.ts";
import { fork } from "../../ffi/fork.ts";
import { Errno, LibcError } from "../../ffi/libc.ts";
import { exitNow } from "../../ffi/process.ts";
import {
  enterSurroundings,
  type Surroundings,
  SurroundingsError,
} from "../surroundings.ts";
import { checkCommand, CommandError } from "./find_command.ts";

/** What the child says: how it came out. */
type Outcome =
  | { readonly kind: "fine" }
  | { readonly kind: "refused"; readonly message: string }
  | { readonly kind: "no command"; readonly errno: number };

/**
 * Tries what a command is to find.
 *
 * @param wanted It.
 * @param command The command, as it was found.
 * @throws {SurroundingsError} When it cannot be had.
 * @throws {CommandError} When the command could not be executed there.
 * @throws {LibcError} When there is no process to be had.
 */
export function rehearse(
  wanted: Surroundings,
  { path, argv }: {
    readonly path: Uint8Array;
    readonly argv: readonly Uint8Array[];
  },
): void {
  const { readFd, writeFd } = pipe2();
  const forked = fork();
  if (forked.role === "child") {
    writeFully(writeFd, JSON.stringify(outcomeOf(wanted, path)));
    exitNow(0);
  }
  close(writeFd);
  const text = readAll(readFd);
  close(readFd);
  waitForEnd(forked.pid);
  if (text === "") {
    throw new SurroundingsError(
      "the process that tried the command's surroundings was killed",
    );
  }
  const outcome = JSON.parse(text) as Outcome;
  if (outcome.kind === "refused") throw new SurroundingsError(outcome.message);
  if (outcome.kind === "no command") {
    throw new CommandError(argv[0]!, new LibcError("exec", outcome.errno));
  }
}

function outcomeOf(wanted: Surroundings, path: Uint8Array): Outcome {
  try {
    enterSurroundings(wanted);
    checkCommand(path);
    return { kind: "fine" };
  } catch (error) {
    if (error instanceof LibcError) {
      return { kind: "no command", errno: error.errno };
    }
    return { kind: "refused", message: String((error as Error).message) };
  }
}

function readAll(fd: number): string {
  let text = "";
  const bytes = new Uint8Array(4096);
  for (;;) {
    const length = read(fd, bytes);
    if (length === 0) return text;
    text += fromBytes(bytes.subarray(0, length));
  }
}

function waitForEnd(pid: number): void {
  try {
    waitpid(pid);
  } catch (error) {
    // Our caller had SIGCHLD ignored: then nobody needs to wait.
    if (error instanceof LibcError && error.errno === Errno.ECHILD) return;
    throw error;
  }
}
