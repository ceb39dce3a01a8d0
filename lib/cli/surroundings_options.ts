/**
 * The options that say what a command is to find otherwise than its caller has
 * it.
 *
 * @module
 */
import { type CString, toBytes } from "../../ffi/c_string.ts";
import { closesOnExec } from "../../ffi/descriptor.ts";
import { environment } from "../../ffi/environment.ts";
import { RLIM_INFINITY, RLIMITS } from "../../ffi/limit.ts";
import { absolutePath } from "../../ffi/working_directory.ts";
import {
  type GivenOption,
  lastValue,
  type Option,
  UsageError,
} from "../options.ts";
import {
  environmentIn,
  nameOf,
  type NewLimit,
  type Surroundings,
} from "../surroundings.ts";
import { findAccount } from "./account.ts";
import { parseAmount } from "./amount.ts";
import type { Search } from "./find_command.ts";
import { checkVariable, readEnvFile } from "./env_file.ts";

/** The options. */
export const SURROUNDINGS_OPTIONS = [
  {
    name: "user",
    value: "required",
    placeholder: "USER",
    help: "run COMMAND as this user, with the user's groups\n" +
      "and HOME, USER, LOGNAME and SHELL",
  },
  {
    name: "no-new-privileges",
    value: "none",
    help: "have no set-user-ID program give COMMAND rights",
  },
  {
    name: "chdir",
    value: "required",
    placeholder: "DIR",
    help: "run COMMAND in DIR, where a relative COMMAND is",
  },
  {
    name: "umask",
    value: "required",
    placeholder: "MASK",
    help: "set COMMAND's umask, an octal number",
  },
  {
    name: "limit",
    value: "required",
    placeholder: "LIMIT",
    help: "set a resource limit, as nofile=4096:8192 does;\n" +
      "without HARD, both limits are SOFT (repeatable)",
  },
  {
    name: "nice",
    value: "required",
    placeholder: "NICE",
    help: "set COMMAND's nice value, -20 to 19",
  },
  {
    name: "oom-score-adj",
    value: "required",
    placeholder: "SCORE",
    help: "set how soon COMMAND is killed when there is no\n" +
      "memory, -1000 (never) to 1000",
  },
  {
    name: "env",
    value: "required",
    placeholder: "VARIABLE",
    help: "set a variable of COMMAND's (repeatable)",
  },
  {
    name: "env-file",
    value: "required",
    placeholder: "FILE",
    help: "set those in FILE: a VARIABLE a line, and lines\n" +
      "that are empty or begin with # (repeatable); it\n" +
      "has no more than 8 MiB, and a FIFO its writer\n" +
      "already",
  },
  {
    name: "clear-env",
    value: "none",
    help: "leave COMMAND none of the caller's variables",
  },
  {
    name: "keep-fd",
    value: "required",
    placeholder: "FD",
    help: "with --detach, leave COMMAND the caller's\n" +
      "descriptor FD (repeatable)",
  },
] as const satisfies readonly Option[];

/**
 * What a command is to find.
 *
 * @param given The options that were given; others are passed over.
 * @returns It; `undefined` when it is what the caller has.
 * @throws {UsageError} For a value that is none of its option's.
 * @throws {Error} When the system does not know the user, or a file of variables
 * cannot be read.
 */
export function surroundingsOf(
  given: readonly GivenOption[],
): Surroundings | undefined {
  const isOurs = ({ name }: GivenOption) =>
    name !== "keep-fd" &&
    SURROUNDINGS_OPTIONS.some((option) => option.name === name);
  if (!given.some(isOurs)) return undefined;
  const last = (name: string) => lastValue(given, name);
  const has = (name: string) => given.some((option) => option.name === name);
  const limits = given.filter(({ name }) => name === "limit")
    .map(({ value = "" }) => parseLimit(value));
  const user = last("user");
  const account = user === undefined ? undefined : findAccount(user);
  const directory = last("chdir");
  return {
    limits: lastOfEach(limits, ({ name }) => name),
    nice: integer("nice", last("nice"), -20, 19),
    oomScoreAdj: integer("oom-score-adj", last("oom-score-adj"), -1000, 1000),
    umask: parseUmask(last("umask")),
    identity: account?.identity,
    chdir: directory === undefined ? undefined : absolutePath(directory),
    clearEnv: has("clear-env"),
    // What is said of variables wins over what a user brings along.
    env: lastOfEach([...account?.env ?? [], ...variablesIn(given)], nameOf),
    noNewPrivileges: has("no-new-privileges"),
  };
}

function variablesIn(given: readonly GivenOption[]): Uint8Array[] {
  return given.flatMap(({ name, value = "" }) =>
    name === "env"
      ? [parseVariable(value)]
      : name === "env-file"
      ? readEnvFile(value)
      : []
  );
}

/** Of several with one name the last. */
function lastOfEach<T>(all: readonly T[], keyOf: (one: T) => string): T[] {
  return [...new Map(all.map((one) => [keyOf(one), one])).values()];
}

/**
 * Where a command is looked for that is to find something: as it would be with
 * its own environment in its own directory.
 *
 * @param wanted What it is to find.
 * @returns Where.
 */
export function searchIn(wanted: Surroundings): Search {
  const prefix = "PATH=";
  const entry = environmentIn(wanted, environment())
    .find((entry) => nameOf(entry) === "PATH");
  return { path: entry?.slice(prefix.length), directory: wanted.chdir };
}

/**
 * The descriptors that a command is to have.
 *
 * @param given The options that were given; others are passed over.
 * @returns Their numbers.
 * @throws {UsageError} For one that is none, or is 0, 1 or 2.
 * @throws {Error} For one that our caller has not given us.
 */
export function keptFds(given: readonly GivenOption[]): number[] {
  const fds = given.filter(({ name }) => name === "keep-fd")
    .map(({ value = "" }) => parseInteger("keep-fd", value, 3));
  for (const fd of fds) {
    // One of ours is closed on exec, and none of the caller's is.
    if (closesOnExec(fd) === false) continue;
    throw new Error(`option --keep-fd=${fd}: the descriptor is not open`);
  }
  return fds;
}

function integer(
  name: string,
  text: string | undefined,
  least: number,
  most: number,
): number | undefined {
  return text === undefined ? undefined : parseInteger(name, text, least, most);
}

function parseInteger(
  name: string,
  text: string,
  least: number,
  most = 0x7fff_ffff,
): number {
  const value = Number(text);
  if (/^[+-]?\d+$/.test(text) && value >= least && value <= most) return value;
  throw new UsageError(
    `option --${name}=${text}: not a whole number from ${least} to ${most}`,
  );
}

function parseUmask(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^0*[0-7]{1,3}$/.test(text)) return parseInt(text, 8);
  throw new UsageError(
    `option --umask=${text}: not an octal number from 0 to 777`,
  );
}

function parseLimit(text: string): NewLimit {
  const refuse = (why: string) =>
    new UsageError(`option --limit=${text}: ${why}`);
  const [, word, softText, hardText] =
    /^([^=]*)=([^:]*)(?::(.*))?$/s.exec(text) ?? [];
  if (word === undefined || softText === undefined) {
    throw refuse("not RESOURCE=SOFT[:HARD]");
  }
  const names = Object.keys(RLIMITS) as (keyof typeof RLIMITS)[];
  const name = names.find((name) => name === word);
  if (name === undefined) {
    throw refuse(`${word} is none of ${names.sort().join(", ")}`);
  }
  const [soft, hard] = [softText, hardText ?? softText].map((value) => {
    const limit = parseBound(value);
    if (limit === undefined) {
      throw refuse(`${value || "nothing"} is neither a number nor unlimited`);
    }
    return limit;
  }) as [bigint, bigint];
  if (soft > hard) throw refuse("the soft limit is above the hard one");
  return { name, soft, hard };
}

/** A number below that which stands for no limit, or that. */
function parseBound(text: string): bigint | undefined {
  if (text === "unlimited") return RLIM_INFINITY;
  const amount = parseAmount(text);
  return amount !== undefined && amount < RLIM_INFINITY ? amount : undefined;
}

function parseVariable(text: CString): Uint8Array {
  const entry = toBytes(text);
  const why = checkVariable(entry);
  if (why === undefined) return entry;
  throw new UsageError(`option --env=${text}: ${why}`);
}
