/**
 * What a command finds around it: limits, umask, user, environment and the like,
 * where that is not to be what its caller has.
 *
 * The steps to it are taken in the command's own process, right before it is
 * executed. Their order is a part of the security:
 *
 *  1. **Nice value, score for the out-of-memory killer, hard limits that are
 *     raised**: while the process is still root. Whoever it is to be may not
 *     have the right to.
 *  2. **Umask**, after all files of tend's are made, which have their own modes.
 *  3. **Supplementary groups, group, user**, in this order: the right to change
 *     groups goes with the user, and a process that had changed its user first
 *     would keep root's groups.
 *  4. **A look whether that is for good**: all three numbers of user and group,
 *     and that root cannot be had back. It can where something above us has set
 *     the securebits so. From here on the process is the user's, but for its
 *     memory and its descriptors: the kernel lets nobody trace it, since it has
 *     changed its user, and what it holds open is closed on exec.
 *  5. **Working directory**, as the user: root may enter what the user may not,
 *     and may not what is on a user's own network disk.
 *  6. **No new privileges**, after the last step that needs some.
 *  7. **Limits**, last of all: a lower one holds for tend too, which has to have
 *     descriptors, and memory, for what is above. No limit is raised here (that
 *     was step 1), so the user may do it.
 *
 * The environment is never tend's own: `LD_PRELOAD` or `HOME` of it would else
 * be those of a monitor that wakes up as root. It is handed to the exec.
 *
 * A monitor stays as it was: it takes none of these steps, since each is taken
 * after its fork, in a process with memory of its own.
 *
 * @module
 */
import { fromBytes } from "../ffi/c_string.ts";
import { close, writeFully } from "../ffi/descriptor.ts";
import { O_WRONLY, open, umask } from "../ffi/file.ts";
import { LibcError } from "../ffi/libc.ts";
import { getrlimit, RLIMITS, setrlimit } from "../ffi/limit.ts";
import { setNice } from "../ffi/nice.ts";
import {
  getresgid,
  getresuid,
  regainRoot,
  type ResIds,
  setgroups,
  setNoNewPrivileges,
  setresgid,
  setresuid,
} from "../ffi/user.ts";
import { chdir } from "../ffi/working_directory.ts";

/** A limit that is set. */
export interface NewLimit {
  /** Which. */
  readonly name: keyof typeof RLIMITS;
  /** What holds; `RLIM_INFINITY` for none. */
  readonly soft: bigint;
  /** Up to where the command itself may raise it. */
  readonly hard: bigint;
}

/** Whose process it is. */
export interface Identity {
  /** The user. */
  readonly uid: number;
  /** The group. */
  readonly gid: number;
  /** The supplementary groups. */
  readonly groups: readonly number[];
}

/** What is not to be as the caller has it. */
export interface Surroundings {
  /** Each no more than once. */
  readonly limits: readonly NewLimit[];
  /** The nice value. */
  readonly nice: number | undefined;
  /** How soon the kernel kills it when there is no memory: -1000 for never. */
  readonly oomScoreAdj: number | undefined;
  /** Which permission bits its new files do not get. */
  readonly umask: number | undefined;
  /** Whose process it becomes. */
  readonly identity: Identity | undefined;
  /** Its working directory, an absolute path. */
  readonly chdir: Uint8Array | undefined;
  /** Whether it gets nothing of the caller's environment. */
  readonly clearEnv: boolean;
  /** What is put into that: `NAME=VALUE`, each name once. */
  readonly env: readonly Uint8Array[];
  /** Whether no program may give it more rights. */
  readonly noNewPrivileges: boolean;
}

/** A step that failed; the message names its option. */
export class SurroundingsError extends Error {}

/**
 * Takes all steps but the last, as described above.
 *
 * @param wanted What the command is to find.
 * @throws {SurroundingsError} When one cannot be taken. The process may have
 * taken others by then, and has to end.
 */
export function enterSurroundings(wanted: Surroundings): void {
  const { limits, nice, oomScoreAdj, identity, noNewPrivileges } = wanted;
  if (nice !== undefined) step(`nice=${nice}`, () => setNice(nice));
  if (oomScoreAdj !== undefined) {
    step(`oom-score-adj=${oomScoreAdj}`, () => setOomScoreAdj(oomScoreAdj));
  }
  for (const limit of limits) step(`limit=${limit.name}`, () => raise(limit));
  if (wanted.umask !== undefined) umask(wanted.umask);
  if (identity !== undefined) step("user", () => become(identity));
  const directory = wanted.chdir;
  if (directory !== undefined) {
    step(`chdir=${fromBytes(directory)}`, () => chdir(directory));
  }
  if (noNewPrivileges) step("no-new-privileges", setNoNewPrivileges);
}

/**
 * Takes the last step. Little can be done after it.
 *
 * @param wanted What the command is to find.
 * @throws {SurroundingsError} As {@linkcode enterSurroundings}.
 */
export function setLimits({ limits }: Surroundings): void {
  for (const { name, soft, hard } of limits) {
    step(`limit=${name}`, () => setrlimit(RLIMITS[name], { soft, hard }));
  }
}

function step(option: string, take: () => void): void {
  try {
    take();
  } catch (error) {
    const isOurs = error instanceof LibcError ||
      error instanceof SurroundingsError;
    if (!isOurs) throw error;
    throw new SurroundingsError(`option --${option}: ${error.message}`, {
      cause: error,
    });
  }
}

/**
 * Makes room for a limit: what holds stays as it is, and only the hard limit
 * may be higher afterwards.
 */
function raise({ name, hard }: NewLimit): void {
  const now = getrlimit(RLIMITS[name]);
  const highest = hard > now.hard ? hard : now.hard;
  try {
    setrlimit(RLIMITS[name], { soft: now.soft, hard: highest });
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    throw new SurroundingsError(
      `the hard limit is ${now.hard} and cannot be raised (${error.reason})`,
      { cause: error },
    );
  }
}

function setOomScoreAdj(score: number): void {
  const fd = open("/proc/self/oom_score_adj", O_WRONLY);
  try {
    writeFully(fd, `${score}`);
  } finally {
    close(fd);
  }
}

function become({ uid, gid, groups }: Identity): void {
  setgroups(groups);
  setresgid(gid);
  setresuid(uid);
  const isAll = ({ real, effective, saved }: ResIds, id: number) =>
    real === id && effective === id && saved === id;
  if (!isAll(getresuid(), uid) || !isAll(getresgid(), gid)) {
    throw new SurroundingsError("the user or the group is another");
  }
  if (uid !== 0 && regainRoot()) {
    throw new SurroundingsError(
      "the process could become root again (are securebits set?)",
    );
  }
}

/**
 * The environment of a command.
 *
 * @param wanted What it is to find.
 * @param callers All entries of its caller's.
 * @returns All entries. One that is set takes the place of all of that name.
 */
export function environmentIn(
  { clearEnv, env }: Surroundings,
  callers: readonly Uint8Array[],
): Uint8Array[] {
  const names = new Set(env.map(nameOf));
  const kept = clearEnv
    ? []
    : callers.filter((entry) => !names.has(nameOf(entry)));
  return [...kept, ...env];
}

/**
 * The name of an entry of the environment.
 *
 * @param entry The entry.
 * @returns What is before its `=`, a character for each byte; all of it without
 * one.
 */
export function nameOf(entry: Uint8Array): string {
  const equals = entry.indexOf("=".charCodeAt(0));
  const length = equals === -1 ? entry.length : equals;
  let name = "";
  for (let i = 0; i < length; i++) name += String.fromCharCode(entry[i]!);
  return name;
}
