/**
 * The ends of a Deno program that is a daemon: fatal signals, uncaught errors,
 * and the ordinary one.
 *
 * @module
 */
import { RESTART_EXIT_CODE } from "./restart.ts";
import { isCaught, isIgnored, setSignalMask, Signal } from "../ffi/signal.ts";
import {
  caughtSignals,
  dieOf,
  dropRustHandlers,
  FATAL_SIGNALS,
  runExitHooks,
} from "./fatal_signal.ts";
import { signalName } from "./signal_name.ts";
import { writeConsole } from "./vlog_sinks.ts";

/** The program's own listeners, of those added since we look. */
const listeners = new Map<Deno.Signal, Set<() => void>>();

/**
 * Sees to it that, however this program ends, its exit hooks run and its files
 * are removed.
 */
export function handleEnds(): void {
  dropRustHandlers();
  watchListeners();
  // One that is caught has a listener of the program's, from before. To be
  // asked of all at first: Deno 2.9 catches several once there is one listener.
  const ignored = FATAL_SIGNALS.filter(isIgnored);
  const free = caughtSignals(FATAL_SIGNALS).filter((signal) =>
    !isCaught(signal) || isCaughtTogether(signal)
  );
  for (const signal of free) {
    const name = nameOf(signal);
    addSignalListener(name, () => {
      if (hasListener(name)) return;
      runExitHooks();
      dieOf(signal);
    });
  }
  // Those it would end us by: it does not where there is a listener, and one of
  // the program's works beside that. Without a listener of ours there is none
  // yet by which this shows.
  const atRisk = free.length === 0 ? ignored : ignored.filter(isCaught);
  for (const signal of atRisk) addSignalListener(nameOf(signal), () => {});
  addEventListener("error", (event) => {
    if (hasNodeListener("uncaughtException")) return;
    const { message, filename, lineno, colno, error } = event;
    const details = { message, filename, lineno, colno, error };
    const again = new ErrorEvent("error", { ...details, cancelable: true });
    crashUnlessHandled(event, again, error);
  });
  addEventListener("unhandledrejection", (event) => {
    if (
      hasNodeListener("unhandledRejection") ||
      hasNodeListener("uncaughtException")
    ) return;
    const { type, promise, reason } = event;
    const details = { promise, reason, cancelable: true };
    const again = new PromiseRejectionEvent(type, details);
    crashUnlessHandled(event, again, reason);
  });
  addEventListener("unload", runExitHooks);
  // What a parent has held back is for the listeners now.
  setSignalMask([]);
}

const { addSignalListener, removeSignalListener } = Deno;

/** Deno after 2.4 catches these when there is a listener for any signal. */
const CAUGHT_TOGETHER: readonly number[] = [
  Signal.SIGTERM,
  Signal.SIGINT,
  Signal.SIGHUP,
];

/** Whether it cannot be told if the program has a listener from before. */
function isCaughtTogether(signal: number): boolean {
  return !Deno.version.deno.startsWith("2.4.") &&
    CAUGHT_TOGETHER.includes(signal) && CAUGHT_TOGETHER.every(isCaught);
}

function nameOf(signal: number): Deno.Signal {
  return signalName(signal) as Deno.Signal;
}

/** A listener of the program's own wins: we have to know whether it has one. */
function watchListeners(): void {
  Deno.addSignalListener = (signal, handler) => {
    addSignalListener(signal, handler);
    const handlers = listeners.get(signal) ?? new Set();
    listeners.set(signal, handlers.add(handler));
  };
  Deno.removeSignalListener = (signal, handler) => {
    removeSignalListener(signal, handler);
    listeners.get(signal)?.delete(handler);
  };
}

/** Whether the program listens for a signal, Deno's way or Node's. */
function hasListener(signal: Deno.Signal): boolean {
  return (listeners.get(signal)?.size ?? 0) > 0 || hasNodeListener(signal);
}

function hasNodeListener(event: string): boolean {
  const node = (globalThis as {
    process?: { listenerCount?: (event: string) => number };
  }).process;
  return (node?.listenerCount?.(event) ?? 0) > 0;
}

let asking = false;

/**
 * Ends the process for an uncaught error, as a crash. A listener of the
 * program's own wins; to hear its word before ours, all are asked now, by an
 * event of our own.
 */
function crashUnlessHandled(event: Event, again: Event, error: unknown): void {
  if (asking || event.defaultPrevented) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  asking = true;
  const handled = !dispatchEvent(again);
  asking = false;
  if (handled) return;
  writeConsole(`error: Uncaught ${Deno.inspect(error)}\n`);
  Deno.exit(RESTART_EXIT_CODE);
}
