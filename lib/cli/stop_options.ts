/**
 * The options that say how a command is ended.
 *
 * @module
 */
import { Signal } from "../../ffi/signal.ts";
import { KILL_MODES, type KillMode } from "../monitor_state.ts";
import {
  type GivenOption,
  lastValue,
  type Option,
  UsageError,
} from "../options.ts";
import { readDuration } from "./duration_option.ts";
import { readSignal } from "./signal_option.ts";

/** The options. */
export const STOP_OPTIONS = [
  {
    name: "stop-signal",
    value: "required",
    placeholder: "SIG",
    help: "end COMMAND by SIG, whichever of TERM and INT has\n" +
      "come for that (default: the same)",
  },
  {
    name: "stop-timeout",
    value: "required",
    placeholder: "DURATION",
    help: "kill COMMAND if it has not ended after that\n" +
      "(default: wait; 10s for what it leaves behind)",
  },
  {
    name: "kill-mode",
    value: "required",
    placeholder: "MODE",
    help: "end its process alone, its group (default with\n" +
      "--detach), or the tree of all that it has started",
  },
] as const satisfies readonly Option[];

/** How a command is ended. */
export interface Stopping {
  /** Whether that was said: then a tend has to stay for it. */
  readonly isGiven: boolean;
  /** What it is made of. */
  readonly killMode: KillMode;
  /** By which signal it is told to end, whatever signal has come for that. */
  readonly stopSignal: number | undefined;
  /** How long it has for that, in milliseconds. */
  readonly stopTimeout: number | undefined;
}

/**
 * Reads the options about the end of a command.
 *
 * @param given The options that were given.
 * @param detach Whether the command is detached.
 * @returns What they say.
 * @throws {UsageError} When a value is bad, or does not go with the rest.
 */
export function readStopping(
  given: readonly GivenOption[],
  detach: boolean,
): Stopping {
  const option = STOP_OPTIONS.find(({ name }) =>
    given.some((option) => option.name === name)
  );
  if (
    option !== undefined && given.some(({ name }) => name === "exec")
  ) {
    throw new UsageError(
      `options --exec and --${option.name} exclude each other: a tend stays, ` +
        "to end COMMAND",
    );
  }
  return {
    isGiven: option !== undefined,
    killMode: readKillMode(given, detach),
    stopSignal: readStopSignal(given),
    stopTimeout: readDuration(given, "stop-timeout", undefined),
  };
}

function readKillMode(
  given: readonly GivenOption[],
  detach: boolean,
): KillMode {
  const word = lastValue(given, "kill-mode");
  if (word === undefined) return detach ? "group" : "process";
  const mode = KILL_MODES.find((known) => known === word);
  if (mode === undefined) {
    throw new UsageError(
      `option --kill-mode=${word}: none of ${KILL_MODES.join(", ")}`,
      { word, words: KILL_MODES },
    );
  }
  if (mode === "group" && !detach) {
    throw new UsageError(
      "option --kill-mode=group needs --detach: in the foreground COMMAND is " +
        "in the process group of tend and whoever has started it",
    );
  }
  return mode;
}

function readStopSignal(given: readonly GivenOption[]): number | undefined {
  const signal = readSignal(given, undefined, "stop-signal");
  if (signal === Signal.SIGSTOP) {
    throw new UsageError(
      "option --stop-signal=STOP: it ends nothing, and cannot be handled",
    );
  }
  return signal;
}
