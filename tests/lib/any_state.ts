/**
 * States of a monitor, at random.
 *
 * @module
 */
import {
  CLEARING_STEPS,
  HANGUPS,
  KILL_MODES,
  MONITOR_PHASES,
  type MonitorState,
  READY_WAYS,
  RESTART_POLICIES,
  STREAMS,
  WISHES,
} from "../../lib/monitor_state.ts";
import type { Random } from "../random.ts";

const INT_MAX = 0x7fff_ffff;

/** A state that a monitor could be in, as far as each field goes. */
export function anyState(random: Random): MonitorState {
  const boolean = () => random.pick([true, false]);
  const maybe = <T>(make: () => T) => boolean() ? make() : undefined;
  const number = () => random.pick([0, 1, INT_MAX, random.below(1 << 22)]);
  const fd = () => random.pick([0, 1023, INT_MAX, random.below(1 << 20)]);
  const time = () => random.pick([0, 0.25, 1e3, random.below(2 ** 31) * 1.7]);
  const signal = () => 1 + random.below(64);
  const list = <T>(make: () => T) =>
    Array.from({ length: random.below(4) }, make);
  /** Any but NUL, which no string of C can hold. */
  const bytes = () =>
    Uint8Array.from({ length: random.below(20) }, () => 1 + random.below(255));
  const text = () =>
    String.fromCodePoint(
      ...list(() => random.pick([1, 10, 34, 92, 0xe4, 0x20ac, 0x1f600])),
    );
  const id = () => random.pick([0, 65534, 2 ** 32 - 2]);
  const amount = () => random.pick([0n, 1024n, 2n ** 63n, 2n ** 64n - 1n]);
  const surroundings = () => ({
    limits: list(() => ({
      name: random.pick(["nofile", "core", "as", "rttime"] as const),
      soft: amount(),
      hard: amount(),
    })),
    nice: maybe(() => random.below(40) - 20),
    oomScoreAdj: maybe(() => random.below(2001) - 1000),
    umask: maybe(() => random.below(0o1000)),
    identity: maybe(() => ({ uid: id(), gid: id(), groups: list(id) })),
    chdir: maybe(bytes),
    clearEnv: boolean(),
    env: list(bytes),
    noNewPrivileges: boolean(),
  });
  const outputs = () => ({
    files: list(() => ({ streams: random.pick(STREAMS), file: bytes() })),
    logging: maybe(() => ({
      rotate: maybe(() => ({ size: 1 + random.below(2 ** 40), count: 1 })),
      timestamps: boolean(),
    })),
  });
  return {
    phase: random.pick(MONITOR_PHASES),
    policy: random.pick(RESTART_POLICIES),
    throttle: {
      delay: time(),
      maxDelay: time(),
      reset: maybe(time),
      limit: maybe(() => ({ ends: 1 + random.below(99), within: time() })),
    },
    onCrash: maybe(text),
    name: text(),
    killMode: random.pick(KILL_MODES),
    stopSignal: maybe(signal),
    stopTimeout: maybe(time),
    helpers: list(() => 1 + random.below(1 << 22)),
    command: maybe(() => ({
      path: bytes(),
      argv: list(bytes),
      ignored: list(() => 1 + random.below(64)),
      surroundings: maybe(surroundings),
      outputs: maybe(outputs),
    })),
    pidfile: maybe(text),
    overwritePidfile: boolean(),
    detach: boolean(),
    chdir: boolean(),
    detachError: maybe(text),
    daemonPid: number(),
    daemonIsFork: boolean(),
    everReady: boolean(),
    startedAt: maybe(time),
    lastEnd: maybe(() => ({
      pid: number(),
      text: text(),
      at: time(),
      uptime: maybe(time),
    })),
    lastWords: maybe(text),
    lastStart: maybe(() => ({
      count: number(),
      pid: number(),
      ready: boolean(),
      status: random.below(256),
      text: maybe(text),
    })),
    told: maybe(signal),
    stoppedAt: maybe(time),
    hangup: maybe(() => random.pick(HANGUPS)),
    clearing: maybe(() => ({
      phase: random.pick(MONITOR_PHASES),
      wish: maybe(() => random.pick(WISHES)),
      status: random.pick(
        [
          { kind: "exited", code: random.below(256) },
          { kind: "signaled", signal: signal(), coreDumped: boolean() },
        ] as const,
      ),
      step: random.pick(CLEARING_STEPS),
    })),
    restarts: number(),
    restartMsg: maybe(text),
    crashes: number(),
    statusMsg: text(),
    exitStatus: random.below(256),
    coreDumped: boolean(),
    lastRestart: maybe(time),
    interval: time(),
    readySince: maybe(time),
    recentEnds: list(time),
    left: list(() => 1 + random.below(1 << 22)),
    gaveUp: maybe(text),
    hookDue: boolean(),
    signalFd: fd(),
    startupFd: random.pick([-1, fd()]),
    notifyFd: random.pick([-1, fd()]),
    ready: maybe(() => ({
      how: random.pick(READY_WAYS),
      operand: text(),
      timeout: time(),
    })),
    readinessFd: random.pick([-1, fd()]),
    lookAgain: number(),
    fileBefore: maybe(text),
    messagesFd: random.pick([-1, fd()]),
    managerSocket: maybe(bytes),
    toldManager: text(),
    statusText: maybe(text),
    watchdog: maybe(time),
    watchdogInterval: time(),
    watchdogFd: random.pick([-1, fd()]),
    hungMsg: maybe(text),
    deadline: maybe(time),
    backingOffUntil: maybe(time),
    stderrFrom: maybe(() => ({
      dev: text(),
      ino: amount(),
      size: amount(),
    })),
    loggers: list(() => ({
      pid: number(),
      since: time(),
      readFd: fd(),
      writeFd: fd(),
      ackFd: fd(),
      troubles: list(() => ({ kind: number(), text: text() })),
    })),
    monitorFd: random.pick([-1, fd()]),
    showAgain: maybe(() => ({ at: time(), delay: time() })),
    deadlineFd: fd(),
    sleepAfter: maybe(time),
    program: text(),
    log: maybe(() => ({
      sequence: random.pick([0, 7, Number.MAX_SAFE_INTEGER]),
      levels: list(text),
      file: maybe(bytes),
    })),
  };
}
