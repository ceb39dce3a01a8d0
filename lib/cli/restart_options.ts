/**
 * What the options say about restarts.
 *
 * @module
 */
import { parseDuration } from "../duration.ts";
import type { RestartPolicy } from "../monitor_state.ts";
import { lastValue, UsageError } from "../options.ts";
import { DEFAULT_THROTTLE, type Throttle } from "../restart_throttle.ts";
import type { RunOption, RunOptionName } from "./run_options.ts";

/** The words that `--restart` takes. */
export const RESTART_WORDS = [
  "no",
  "on-error-signal",
  "on-failure",
  "always",
] as const satisfies readonly RestartPolicy[];

/** More ends than anybody would count. */
const MOST_ENDS = 1000;

/** How a command is restarted. */
export interface Restarting {
  /** Which ends are followed by a restart; without it, nobody asked for any. */
  readonly policy: Exclude<RestartPolicy, "no"> | undefined;
  /** How fast they follow each other. */
  readonly throttle: Throttle;
  /** A shell's command for each crash. */
  readonly onCrash: string | undefined;
}

/**
 * Reads the options about restarts.
 *
 * @param given The options that were given.
 * @returns What they say.
 * @throws {UsageError} When a value is bad, or says something about restarts
 * that there are not.
 */
export function readRestarting(given: readonly RunOption[]): Restarting {
  const has = (name: RunOptionName) =>
    given.some((option) => option.name === name);
  const word = lastValue(given, "restart");
  const policy = readPolicy(word);
  if (policy === "no" && has("monitor")) {
    throw new UsageError(
      "options --monitor and --restart=no exclude each other",
    );
  }
  const needing = given.find(({ name }) =>
    name.startsWith("restart-") || name === "on-crash"
  );
  const restarts = policy === undefined
    ? has("monitor") ? "on-error-signal" : undefined
    : policy === "no"
    ? undefined
    : policy;
  if (needing !== undefined && restarts === undefined) {
    throw new UsageError(
      `option --${needing.name} needs --monitor or --restart`,
    );
  }
  return {
    policy: restarts,
    throttle: readThrottle(given),
    onCrash: lastValue(given, "on-crash"),
  };
}

function readPolicy(
  word: string | undefined,
): typeof RESTART_WORDS[number] | undefined {
  if (word === undefined) return undefined;
  const policy = RESTART_WORDS.find((known) => known === word);
  if (policy !== undefined) return policy;
  throw new UsageError(
    `option --restart=${word}: none of ${RESTART_WORDS.join(", ")}`,
    { word, words: RESTART_WORDS },
  );
}

function readThrottle(given: readonly RunOption[]): Throttle {
  const duration = (name: RunOptionName) => {
    const text = lastValue(given, name);
    return text === undefined ? undefined : readDuration(name, text, text);
  };
  const delay = duration("restart-delay") ?? DEFAULT_THROTTLE.delay;
  const maxDelay = duration("restart-max-delay") ?? delay;
  if (maxDelay < delay) {
    throw new UsageError(
      `option --restart-max-delay=${lastValue(given, "restart-max-delay")}: ` +
        `less than the delay of ${delay / 1000} seconds that it begins with`,
    );
  }
  return {
    delay,
    maxDelay,
    reset: duration("restart-reset"),
    limit: readLimit(lastValue(given, "restart-limit")),
  };
}

function readLimit(text: string | undefined): Throttle["limit"] {
  if (text === undefined) return undefined;
  const [, number, duration] = /^(\d{1,9})\/(.*)$/.exec(text) ?? [];
  const ends = Number(number);
  if (duration === undefined || ends < 1 || ends > MOST_ENDS) {
    throw new UsageError(
      `option --restart-limit=${text}: not a number from 1 to ${MOST_ENDS}, ` +
        "a slash and a duration, as 5/1m is",
    );
  }
  return { ends, within: readDuration("restart-limit", text, duration) };
}

function readDuration(name: string, whole: string, text: string): number {
  try {
    return parseDuration(text);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new UsageError(`option --${name}=${whole}: ${error.message}`);
  }
}
