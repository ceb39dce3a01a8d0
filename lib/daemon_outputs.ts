/**
 * Where a daemon's output is, as its monitor says.
 *
 * @module
 */
import { close } from "../ffi/descriptor.ts";
import {
  type FileStat,
  fstat,
  O_NOCTTY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  openIfThere,
} from "../ffi/file.ts";
import { geteuid } from "../ffi/user.ts";
import { ActionFailure } from "./action.ts";
import { lookAt } from "./daemon_look.ts";
import { viewOf } from "./daemon_state.ts";
import type { LogNames } from "./log_files.ts";
import {
  type MonitorFile,
  monitorFileOf,
  type MonitorRecord,
  type OutputRecord,
  readOpenMonitorFile,
} from "./monitor_file.ts";

/** A daemon's output. */
export interface DaemonOutput extends LogNames, OutputRecord {}

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
 * @throws {LibcError} When the monitor's file cannot be opened.
 */
export function outputsOf(pidfile: string): DaemonOutput[] {
  // It waits for a monitor that is just writing.
  const view = viewOf(lookAt(pidfile));
  const flags = O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY;
  const fd = openIfThere(monitorFileOf(pidfile), flags);
  if (fd === undefined) {
    throw new ActionFailure(
      view.pid === undefined
        ? "not running, and where its output is only its monitor could say: " +
          "look into the file that was its --output"
        : "its monitor is none of tend's, and does not say where its output is",
    );
  }
  let stat: FileStat;
  let file: MonitorFile;
  try {
    stat = fstat(fd);
    file = readOpenMonitorFile(fd);
  } finally {
    close(fd);
  }
  const record = recordIn(file);
  if (record === undefined) {
    const why = view.remark ?? "there is nothing in its monitor's file that " +
        "this tend can read";
    throw new ActionFailure(`where its output is cannot be told: ${why}`);
  }
  if (record.outputs.length === 0) {
    throw new ActionFailure(
      "its output is not kept: start it with --output=FILE",
    );
  }
  const isBelieved = stat.uid === 0 || stat.uid === geteuid();
  const owner = isBelieved ? undefined : stat.uid;
  return record.outputs.map((output) => ({ ...output, owner }));
}

function recordIn(file: MonitorFile): MonitorRecord | undefined {
  return file.kind === "held" || file.kind === "stale"
    ? file.record
    : undefined;
}
