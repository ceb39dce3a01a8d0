import { holderOf } from "../../lib/pidfile_contention.ts";
import { basename } from "@std/path/basename";
import { Failure } from "../failure.ts";
import { OpenWatch } from "./open_watch.ts";
import type { Peer } from "./peers.ts";
import { pidIn } from "./pidfile.ts";
import {
  endMarked,
  exeOf,
  isAsleep,
  marked,
  pidsMarked,
  proc,
} from "./processes.ts";
import { until } from "./wait.ts";

/** How long a supervisor may take for what it does at once or in a second. */
const PATIENCE_MS = 10_000;

/** What a pidfile was worth when the command had returned. */
export interface PidfileCheck {
  /** It named a process that was alive, and the payload. */
  readonly right: boolean;
  /** And that process held a lock on it. */
  readonly locked: boolean;
}

/** A supervisor that was started for a directory. */
export class Running {
  readonly peer: Peer;
  /** How long the start took. */
  readonly startMs: number;
  /** What the pidfile was worth right after it. */
  readonly pidfile: PidfileCheck | undefined;
  readonly #directory: string;
  readonly #child: Deno.ChildProcess | undefined;

  private constructor(
    peer: Peer,
    directory: string,
    startMs: number,
    child?: Deno.ChildProcess,
  ) {
    this.peer = peer;
    this.#directory = directory;
    this.startMs = startMs;
    this.#child = child;
    this.pidfile = peer.pidfile === undefined
      ? undefined
      : checkPidfile(peer, `${directory}/${peer.pidfile}`);
  }

  /**
   * Starts a supervisor.
   *
   * @param directory One that does not exist yet.
   * @param sleep The program to look after.
   * @throws {Failure} It failed, or started nothing in time.
   */
  static async start(
    peer: Peer,
    directory: string,
    sleep: string,
  ): Promise<Running> {
    Deno.mkdirSync(directory);
    // A name of its own for each, by which it is seen who executes it.
    Deno.linkSync(sleep, `${directory}/sleep`);
    const preparation = peer.prepare?.(directory)?.outputSync();
    if (preparation?.success === false) {
      throw new Failure(`${peer.name}: could not be prepared`);
    }
    const [program = ""] = peer.needs;
    const args = peer.args(directory);
    const command = new Deno.Command(program, {
      args,
      // Some write to where they are.
      cwd: directory,
      env: { ...marked(directory), ...peer.env?.(directory) },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    });
    if (peer.started === "return") {
      const begin = performance.now();
      const { success } = command.outputSync();
      const end = performance.now();
      if (success) return new Running(peer, directory, end - begin);
      throw new Failure(`this failed: ${[program, ...args].join(" ")}`);
    }
    using watch = new OpenWatch(directory, peer.executes ?? "");
    const begin = performance.now();
    const child = command.spawn();
    const end = await watch.opened(PATIENCE_MS);
    if (end !== undefined) {
      return new Running(peer, directory, end - begin, child);
    }
    endMarked(directory);
    await child.status;
    throw new Failure(`this started nothing: ${[program, ...args].join(" ")}`);
  }

  /** Its processes, without the payload. */
  processes(): number[] {
    const payload = this.#payload();
    return pidsMarked(this.#directory).filter((pid) => pid !== payload);
  }

  /** Waits until all its processes sleep; says whether they do. */
  async fallsAsleep(): Promise<boolean> {
    return await until(
      () => {
        const pids = this.processes();
        return pids.length > 0 && pids.every(isAsleep);
      },
      PATIENCE_MS,
      50,
    );
  }

  /**
   * Makes the payload crash.
   *
   * @returns The time until its successor was executed, or `undefined` if that
   * was not to be seen.
   */
  async crash(): Promise<number | undefined> {
    const payload = this.#payload();
    if (payload === undefined) return undefined;
    using watch = new OpenWatch(this.#directory, this.peer.executes ?? "");
    const begin = performance.now();
    Deno.kill(payload, "SIGSEGV");
    const end = await watch.opened(PATIENCE_MS);
    return end === undefined ? undefined : end - begin;
  }

  /** Ends it and all that is of it. */
  async end(): Promise<void> {
    endMarked(this.#directory);
    await this.#child?.status;
  }

  #payload(): number | undefined {
    if (this.peer.isPayload) return pidIn(`${this.#directory}/pid`);
    return pidsMarked(this.#directory)
      .find((pid) => exeOf(pid) === `${this.#directory}/sleep`);
  }
}

function checkPidfile(peer: Peer, path: string): PidfileCheck {
  const pid = pidIn(path);
  if (pid === undefined) return { right: false, locked: false };
  const program = basename(peer.isPayload ? peer.needs[0] ?? "" : "sleep");
  // A zombie has its name still, but no command line.
  const right = proc(pid, "comm") === `${program.slice(0, 15)}\n` &&
    proc(pid, "cmdline") !== "";
  return { right, locked: right && holderOf(path) === pid };
}
