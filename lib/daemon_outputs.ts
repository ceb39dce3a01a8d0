/**
 * Where a daemon's output is, as its monitor says.
 *
 * @module
 */
import { close } from "../ffi/descriptor.ts";
import { fstat } from "../ffi/file_stat.ts";
import { LibcError } from "../ffi/libc.ts";
import { geteuid } from "../ffi/user.ts";
import { waitReadable } from "../ffi/wait.ts";
import { ActionFailure } from "./action.ts";
import { lookAt } from "./daemon_look.ts";
import { viewOf } from "./daemon_state.ts";
import { LookError, unreadable } from "./look_error.ts";
import type { LogNames } from "./log_files.ts";
import {
  type MonitorRecord,
  openMonitorFile,
  type OutputRecord,
  readOpenMonitorFile,
} from "./monitor_file.ts";

/** So often a file is read without a record in it, and so far apart. */
const ATTEMPTS = 50;
const LOOK_AGAIN_MS = 1;

/** A daemon's output. */
export interface DaemonOutput extends LogNames, OutputRecord {
  /** The user who says so: the monitor's, and that of its loggers. */
  readonly writer: number;
}

/**
 * Finds the files that hold what a daemon has written. Those of one whose
 * monitor was killed, or has given up, too: its file is still there.
 *
 * Anybody can write down that `/etc/shadow` is the output. So of a user who is
 * neither root nor we, only files are believed that are that user's own.
 *
 * @param pidfile Its pidfile.
 * @returns Them; at least one.
 * @throws {ActionFailure} When there are none, or it cannot be told; says why.
 * @throws {LookError} When the monitor's file cannot be read.
 */
export function outputsOf(pidfile: string): DaemonOutput[] {
  const found = readRecord(pidfile);
  const { record } = found ?? {};
  if (found === undefined || record === undefined) {
    throw withoutRecord(pidfile, found !== undefined);
  }
  if (record.outputs.length === 0) {
    throw new ActionFailure(
      "its output is not kept: start it with --output=FILE",
    );
  }
  const isBelieved = found.uid === 0 || found.uid === geteuid();
  const owner = isBelieved ? undefined : found.uid;
  return record.outputs.map((output) => ({
    ...output,
    owner,
    writer: found.uid,
  }));
}

/** What a monitor's file says, and who owns that very file. */
function readRecord(
  pidfile: string,
): { uid: number; record: MonitorRecord | undefined } | undefined {
  for (let attempt = 1;; attempt++) {
    const fd = openIfAny(pidfile);
    if (fd === undefined) return undefined;
    try {
      const { uid } = fstat(fd);
      const file = readOpenMonitorFile(fd);
      const isRead = file.kind === "held" || file.kind === "stale";
      const record = isRead ? file.record : undefined;
      // Without one, its monitor may be just about to write the first.
      const isSettled = record !== undefined || file.kind !== "held";
      if (isSettled || attempt === ATTEMPTS) return { uid, record };
    } finally {
      close(fd);
    }
    waitReadable([], LOOK_AGAIN_MS);
  }
}

function openIfAny(pidfile: string): number | undefined {
  try {
    return openMonitorFile(pidfile);
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    throw unreadable(error.reason);
  }
}

/** Says why there are none, or that it cannot be told. */
function withoutRecord(pidfile: string, isThere: boolean): Error {
  const view = viewOf(lookAt(pidfile));
  if (isThere) {
    const why = view.remark ?? "there is nothing in its monitor's file that " +
        "this tend can read";
    return new LookError(`where its output is cannot be told: ${why}`);
  }
  // As where its pidfile cannot be read.
  if (view.state === "unknown") return new LookError(view.remark);
  return new ActionFailure(
    view.pid === undefined
      ? "not running, and where its output is only its monitor could say: " +
        "tend logs --file=FILE shows the file that was its --output"
      : "no monitor of tend's says where its output is: tend logs " +
        "--file=FILE shows the file that was its --output",
  );
}
