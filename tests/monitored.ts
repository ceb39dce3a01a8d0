/**
 * Daemons that crash, and the monitors that look after them.
 *
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { close } from "../ffi/descriptor.ts";
import { pidfdOpen } from "../ffi/pidfd.ts";
import { Signal } from "../ffi/signal.ts";
import {
  type MonitorFile,
  type MonitorRecord,
  readMonitorFile,
} from "../lib/monitor_file.ts";
import { sendRequest } from "../lib/request.ts";
import { isAsleep, look, parentOf, signalsIn } from "./proc.ts";
import { type Sandbox, TEND } from "./sandbox.ts";

/** Has `tend` monitor a daemon in the background, with web.pid. */
export const MONITORED = ["--detach", "--monitor", "--pidfile=web.pid"];

/** The same with a log. */
export const LOGGED = [...MONITORED, "--name=web", "--log-file"];

/** The log that {@linkcode LOGGED} wants. */
export function logOf(box: Sandbox): string {
  return box.read(box.path("log/web.log")) ?? "";
}

/**
 * Waits until that log holds a text. A monitor writes of a restart when the
 * new daemon is on its way already.
 */
export async function logged(
  box: Sandbox,
  text: RegExp | string,
): Promise<void> {
  await box.until(
    `the log has ${text}`,
    () =>
      typeof text === "string"
        ? logOf(box).includes(text)
        : text.test(logOf(box)),
  );
}

/** Waits until web.pid names a process, other than one, that runs COMMAND. */
export function successorOf(
  pid: number | undefined,
  box: Sandbox,
): Promise<number> {
  return box.until(`web.pid names another process than ${pid}`, () => {
    const other = box.pidfile("web.pid");
    if (other === undefined || other === pid) return false;
    // The file is there before COMMAND is.
    const name = look(other)?.status.get("Name");
    return name !== undefined && name !== "tend" && other;
  });
}

/** Reads web.pid.monitor. */
export function monitorFile(box: Sandbox): MonitorFile {
  return readMonitorFile(box.runPath("web.pid"));
}

/** The record of web.pid.monitor while its monitor lives. */
export function shown(box: Sandbox): MonitorRecord | undefined {
  const file = monitorFile(box);
  return file.kind === "held" ? file.record : undefined;
}

/** Waits until the monitor shows what is wanted, and has it. */
export async function untilShown(
  box: Sandbox,
  what: string,
  isSo: (record: MonitorRecord) => boolean,
): Promise<MonitorRecord> {
  return await box.until(`the monitor shows ${what}`, () => {
    const record = shown(box);
    return record !== undefined && isSo(record) && record;
  });
}

/** Asks something of the monitor of web.pid. */
export function request(
  box: Sandbox,
  kind: "stop" | "restart",
  signal: number = Signal.SIGTERM,
): void {
  const pidfd = pidfdOpen(box.holder("web.pid.monitor")!);
  sendRequest(pidfd, { kind, signal });
  close(pidfd);
}

/** A monitor, and the daemon that was its last. */
export interface Monitored {
  readonly daemon: number;
  readonly monitor: number;
}

/** Starts a daemon, and has it crash until its monitor backs off. */
export async function startBackingOff(
  box: Sandbox,
  ...options: string[]
): Promise<Monitored> {
  await box.run([TEND, ...LOGGED, ...options, "--", "sleep", "600"]);
  const first = box.pidfile("web.pid")!;
  const monitor = parentOf(first);
  Deno.kill(first, "SIGSEGV");
  const daemon = await successorOf(first, box);
  Deno.kill(daemon, "SIGSEGV");
  await box.until(
    "the monitor backs off",
    () => logOf(box).includes("waiting until 10 seconds since last restart"),
  );
  return { daemon, monitor };
}

/** The same as {@linkcode LOGGED}, with a monitor that sleeps at once. */
export const SLEEPY = [...LOGGED, "--sleep-after=0"];

/** Starts a daemon, and waits until its monitor sleeps. */
export async function startAsleep(
  box: Sandbox,
  argv: readonly string[] = [TEND, ...SLEEPY, "--", "sleep", "600"],
): Promise<Monitored> {
  const { code, stderr } = await box.run(argv);
  assertEquals([code, stderr], [0, ""]);
  const daemon = box.pidfile("web.pid")!;
  const monitor = parentOf(daemon);
  await untilAsleep(box, monitor);
  return { daemon, monitor };
}

/** Waits until a monitor sleeps. */
export async function untilAsleep(box: Sandbox, pid: number): Promise<void> {
  await box.until(`monitor ${pid} sleeps`, () => isAsleep(pid));
}

/** `poll()`; there is none on aarch64, where libc takes `ppoll()`. */
const POLL = Deno.build.arch === "aarch64" ? "73" : "7";

/** Waits until a monitor that stays awake waits, with all else done. */
export async function untilItWaits(box: Sandbox, pid: number): Promise<void> {
  await box.until(`monitor ${pid} waits`, () => isWaiting(box, pid));
}

/** Whether a monitor that is awake waits. */
export function isWaiting(box: Sandbox, pid: number): boolean {
  return box.read(`/proc/${pid}/syscall`)?.split(" ")[0] === POLL;
}

/** Has a monitor that sleeps wake up once, for nothing, and sleep again. */
export async function wakeOnce(box: Sandbox, pid: number): Promise<void> {
  Deno.kill(pid, "SIGCHLD");
  // Asleep, nobody takes a signal.
  await box.until(
    `monitor ${pid} has woken up`,
    () => signalsIn(pid, "ShdPnd").length === 0,
  );
  await untilAsleep(box, pid);
}
