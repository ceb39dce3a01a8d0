/**
 * Looking at a daemon: what its pidfile and its monitor's file say, by their
 * locks. Nothing is changed and nothing is logged.
 *
 * @module
 */
import { isThere } from "../ffi/access.ts";
import { close } from "../ffi/descriptor.ts";
import { O_RDONLY } from "../ffi/file.ts";
import { Errno, LibcError, strerror } from "../ffi/libc.ts";
import { waitReadable } from "../ffi/wait.ts";
import { checkOnlyName } from "./foreign_file.ts";
import { type MonitorFile, readMonitorFile } from "./monitor_file.ts";
import { openIfRegular, readOpenPidfile } from "./pidfile_state.ts";

/** For so long files that are just being made or removed are looked at again. */
const ATTEMPTS = 50;
const LOOK_AGAIN_MS = 1;

/** What a pidfile says, by its lock. */
export type PidfileLook =
  /** There is none. */
  | { readonly kind: "none" }
  /** Nobody holds it. */
  | { readonly kind: "stale" }
  /** The daemon runs. */
  | { readonly kind: "running"; readonly pid: number }
  /** The daemon runs, in another PID namespace; `pid` if it has one in ours. */
  | { readonly kind: "elsewhere"; readonly pid?: number }
  /** Somebody who is not the daemon holds it, and is about to remove it. */
  | { readonly kind: "busy"; readonly reason: string }
  /** It cannot be read, or is no such file. */
  | { readonly kind: "error"; readonly reason: string };

/** What is to be seen of a daemon. */
export interface DaemonLook {
  /** What its pidfile says. */
  readonly pidfile: PidfileLook;
  /** What its monitor's file says. */
  readonly monitor: MonitorFile;
}

/**
 * Looks at a pidfile.
 *
 * @param pidfile The file; not one that this process holds.
 * @returns What it says.
 */
export function lookAtPidfile(pidfile: string): PidfileLook {
  try {
    // First without an error, which costs.
    if (!isThere(pidfile)) return { kind: "none" };
    const fd = openIfRegular(pidfile, O_RDONLY);
    try {
      checkOnlyName(pidfile, fd);
      return toLook(readOpenPidfile(fd));
    } finally {
      close(fd);
    }
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    if (error.errno === Errno.ENOENT) return { kind: "none" };
    return { kind: "error", reason: `${pidfile}: ${error.reason}` };
  }

  function toLook(found: ReturnType<typeof readOpenPidfile>): PidfileLook {
    switch (found.kind) {
      case "stale":
      case "running":
      case "elsewhere":
        return found;
      case "other":
        return {
          kind: "error",
          reason: `${pidfile}: ${strerror(found.errno)}`,
        };
      case "empty":
        return { kind: "busy", reason: `${pidfile} is locked, and empty` };
      case "busy":
        return {
          kind: "busy",
          reason: `${pidfile} names pid ${found.text}, and pid ` +
            `${found.holder} has it locked`,
        };
    }
  }
}

/**
 * Looks at a daemon.
 *
 * Its two files cannot be read at once. The pidfile comes first: the monitor's
 * file is there before the daemon is, and goes when it has ended. So a daemon
 * without a monitor's file has none, if it still runs when that was not found.
 *
 * What others are in the middle of is over soon, and is looked at again: a stale
 * file that is just being removed, a monitor that has not written yet.
 *
 * @param pidfile Its pidfile; not one that this process holds.
 * @returns What is to be seen.
 */
export function lookAt(pidfile: string): DaemonLook {
  for (let attempt = 1;; attempt++) {
    const look: DaemonLook = {
      pidfile: lookAtPidfile(pidfile),
      monitor: readMonitorFile(pidfile),
    };
    if (attempt === ATTEMPTS || isSettled(look, pidfile)) return look;
    waitReadable([], LOOK_AGAIN_MS);
  }
}

function isSettled({ pidfile, monitor }: DaemonLook, path: string): boolean {
  if (pidfile.kind === "busy") return false;
  if (monitor.kind === "held") return monitor.record !== undefined;
  if (pidfile.kind !== "running") return true;
  const again = lookAtPidfile(path);
  return again.kind === "running" && again.pid === pidfile.pid;
}
