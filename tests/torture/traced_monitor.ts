/**
 * The monitor of the daemon that is traced: what it shows, and what it is asked
 * for.
 *
 * @module
 */
import { dirname } from "@std/path/dirname";
import { close } from "../../ffi/descriptor.ts";
import { pidfdOpen } from "../../ffi/pidfd.ts";
import { Signal } from "../../ffi/signal.ts";
import { type MonitorRecord, readMonitorFile } from "../../lib/monitor_file.ts";
import { makePidfileName } from "../../lib/pidfile.ts";
import { sendRequest } from "../../lib/request.ts";
import { heldBy } from "./descriptors.ts";
import type { Look } from "./sweep.ts";

/** What the monitor shows of itself, while it holds its file. */
export function shown(): MonitorRecord | undefined {
  const file = readMonitorFile(makePidfileName("web.pid"));
  return file.kind === "held" ? file.record : undefined;
}

/** A daemon that is its own program, if its monitor says that it runs. */
export function runningDaemon(): number | undefined {
  const record = shown();
  return record?.phase === "running" ? record.pid : undefined;
}

/** Asks the monitor for something. */
export function request(monitor: number, kind: "restart" | "stop"): void {
  const pidfd = pidfdOpen(monitor);
  sendRequest(pidfd, { kind, signal: Signal.SIGTERM });
  close(pidfd);
}

/**
 * Looks at what is there after a crash.
 *
 * @param monitor The monitor.
 * @param running The daemon that the pidfile has to name, if one runs.
 * @param zombies The monitor's children that have ended.
 * @returns What is seen, with all that is in the log.
 */
export function lookAt(
  monitor: number,
  running: number | undefined,
  zombies: readonly number[],
): Look {
  const held = heldBy(monitor);
  const log = textOf(`${Deno.cwd()}/web.log`);
  const files = [...Deno.readDirSync(dirname(makePidfileName("web.pid")))]
    .map(({ name }) => name);
  const pidfile = textOf(makePidfileName("web.pid"));
  const isRight = running === undefined || pidfile === `${running}\n`;
  const lie = isRight ? undefined : JSON.stringify(pidfile);
  return { held, files, log, zombies, lie };
}

function textOf(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}
