/**
 * Watches pidfiles for as long as others fight for them, holding to the lock
 * protocol itself: it only ever asks.
 *
 * A program of its own: `deno run observer.ts DIRECTORY WORD...`. For each WORD
 * it watches WORD.pid in DIRECTORY, and the commands that have WORD as their
 * last argument. It makes DIRECTORY/server when it sees a server of Open vSwitch.
 * It ends when DIRECTORY/end is there, and says what it has seen.
 *
 * @module
 */
import { close, read } from "../../ffi/descriptor.ts";
import { fromBytes } from "../../ffi/c_string.ts";
import { O_RDONLY, open } from "../../ffi/file.ts";
import { type FileStat, fstat } from "../../ffi/file_stat.ts";
import { LibcError } from "../../ffi/libc.ts";
import { fcntlGetlk } from "../../ffi/lock.ts";

/** What it says in the end. */
export interface Observation {
  /** How often it looked at each pidfile. */
  readonly looks: number;
  /** How many daemons it has seen, by their locks. */
  readonly daemons: number;
  /** How many of them were servers of Open vSwitch. */
  readonly servers: number;
  /** How many commands. */
  readonly commands: number;
  /** What must not be. */
  readonly violations: readonly string[];
}

/** A file that has had a pidfile's name. */
interface Seen {
  readonly fd: number;
  readonly file: FileStat;
}

/** No more than these of one pidfile are kept: older ones are long free. */
const MOST_SEEN = 20;
/** `PF_EXITING` of `/proc/PID/stat`: it has let go of its locks, or will now. */
const EXITING = 0x4;

if (import.meta.main) observe();

function observe(): void {
  const [dir = "", ...words] = Deno.args;
  const seen = new Map(words.map((word) => [word, [] as Seen[]]));
  const daemons = new Set<string>();
  const servers = new Set<string>();
  const commands = new Set<string>();
  const violations: string[] = [];
  let looks = 0;
  while (!isThere(`${dir}/end`)) {
    looks++;
    for (const [word, files] of seen) {
      remember(`${dir}/${word}.pid`, files);
      const held = files.map(daemonOf);
      for (const pid of held) {
        if (pid === undefined) continue;
        daemons.add(`${word} ${pid}`);
        if (!isServer(pid)) continue;
        servers.add(`${word} ${pid}`);
        Deno.writeTextFileSync(`${dir}/server`, "");
      }
      const first = held.findIndex((pid) => pid !== undefined);
      const second = held.findLastIndex((pid) => pid !== undefined);
      // The first one, still after the second was looked at: both at once.
      if (first < second && daemonOf(files[first]!) === held[first]) {
        violations.push(
          `${word}.pid: pids ${held[first]} and ${held[second]} hold it`,
        );
      }
    }
    const running = commandsOf(words);
    for (const [word, pids] of running) {
      pids.forEach((pid) => commands.add(`${word} ${pid}`));
      const [first, ...others] = pids;
      if (others.length === 0) continue;
      if (commandOf(first!) !== word) continue;
      violations.push(`${word}: its command runs as pids ${pids.join(", ")}`);
    }
  }
  const observation: Observation = {
    looks,
    daemons: daemons.size,
    servers: servers.size,
    commands: commands.size,
    violations: [...new Set(violations)],
  };
  console.log(JSON.stringify(observation));
}

/** Opens the file that has a pidfile's name now, unless it is known. */
function remember(pidfile: string, files: Seen[]): void {
  let fd: number;
  try {
    fd = open(pidfile, O_RDONLY);
  } catch (error) {
    if (error instanceof LibcError) return;
    throw error;
  }
  const file = fstat(fd);
  const isKnown = files.some((known) =>
    known.file.ino === file.ino && known.file.dev === file.dev
  );
  if (isKnown) return close(fd);
  files.push({ fd, file });
  if (files.length > MOST_SEEN) close(files.shift()!.fd);
}

/** The daemon of a file: the process that has the lock and is named by it. */
function daemonOf({ fd }: Seen): number | undefined {
  const holder = fcntlGetlk(fd);
  if (holder === undefined || holder <= 0) return undefined;
  using again = reopened(fd);
  const bytes = new Uint8Array(32);
  const text = fromBytes(bytes.subarray(0, read(again.fd, bytes)));
  // Else it is one that is about to remove what another has left.
  return Number.parseInt(text) === holder ? holder : undefined;
}

/** The same file, from its beginning, whatever its name is by now. */
function reopened(fd: number): Disposable & { readonly fd: number } {
  const again = open(`/proc/self/fd/${fd}`, O_RDONLY);
  return { fd: again, [Symbol.dispose]: () => close(again) };
}

/** The processes that are commands, by their word. */
function commandsOf(words: readonly string[]): Map<string, number[]> {
  const found = new Map<string, number[]>();
  for (const { name } of Deno.readDirSync("/proc")) {
    const pid = Number(name);
    if (!(pid > 0)) continue;
    const word = commandOf(pid);
    if (word === undefined || !words.includes(word)) continue;
    found.set(word, [...found.get(word) ?? [], pid]);
  }
  return found;
}

/** The last argument of a `sleep` that is not about to be gone. */
function commandOf(pid: number): string | undefined {
  try {
    const argv = Deno.readTextFileSync(`/proc/${pid}/cmdline`).split("\0");
    if (argv[0] !== "sleep") return undefined;
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    const [state, , , , , , flags] = stat.slice(stat.lastIndexOf(")") + 2)
      .split(" ");
    const isOver = "ZX".includes(state!) || (Number(flags) & EXITING) !== 0;
    // SIGKILL is on its way: it runs no instruction of its own any more.
    if (isOver || isBeingKilled(pid)) return undefined;
    return argv[1];
  } catch (error) {
    if (error instanceof Error) return undefined;
    throw error;
  }
}

function isServer(pid: number): boolean {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/comm`) === "ovsdb-server\n";
  } catch (error) {
    if (error instanceof Error) return false;
    throw error;
  }
}

function isBeingKilled(pid: number): boolean {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return [...status.matchAll(/^(?:SigPnd|ShdPnd):\t([0-9a-f]+)$/gm)]
    .some(([, mask]) => (BigInt(`0x${mask}`) & (1n << 8n)) !== 0n);
}

function isThere(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
