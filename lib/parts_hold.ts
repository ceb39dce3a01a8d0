/**
 * Processes that end with a daemon, besides it: the others in its process group,
 * or all below it.
 *
 * @module
 */
import { close } from "../ffi/descriptor.ts";
import { isInOurGroup } from "../ffi/process_group.ts";
import {
  readProcess,
  readProcesses,
  readProcessOrFail,
} from "../ffi/process_table.ts";
import { ActionFailure } from "./action.ts";
import { commandLineOf } from "./daemon_state.ts";
import { ancestor, holdDescendants } from "./descendants.ts";
import {
  type DaemonHold,
  hasEnded,
  prove,
  type ProvenProcess,
} from "./proven_process.ts";

/** Processes that end with a daemon, held by descriptors until they are let go. */
export interface PartsHold {
  /** They. */
  readonly members: readonly ProvenProcess[];
  /** Looks for those that have been forked meanwhile. */
  findMore(): void;
  /** Lets go of them. */
  release(): void;
}

/** The others in a daemon's process group. */
export class GroupHold implements PartsHold {
  readonly #group: number;
  readonly #except: ReadonlySet<number>;
  /** Whose presence proves that the group's number is not another group's. */
  readonly #anchors: ProvenProcess[];
  readonly #members = new Map<number, ProvenProcess>();

  private constructor(daemon: ProvenProcess, held: DaemonHold, group: number) {
    this.#group = group;
    this.#anchors = [daemon];
    this.#except = new Set(
      [held.daemon, held.monitor, held.bystander]
        .flatMap((process) => process === undefined ? [] : [process.pid]),
    );
    this.findMore();
  }

  /**
   * Takes hold of the others in the process group of a daemon.
   *
   * Only of a group that is the daemon's: led by it, or by its monitor, which
   * began it, or by nobody any more. A daemon that was started in the foreground
   * is in the group of whoever started it, a script or a shell's job: that would
   * be hit, and so might we.
   *
   * @param held The daemon.
   * @returns The hold; `undefined` when there is no daemon.
   * @throws {ActionFailure} When the group is another's.
   */
  static take(held: DaemonHold): GroupHold | undefined {
    const { daemon, monitor, bystander } = held;
    const group = daemon && readProcessOrFail(daemon.pid)?.group;
    if (daemon === undefined || group === undefined) return undefined;
    if (isInOurGroup(daemon.pid)) {
      if (hasEnded(daemon)) return undefined;
      throw new ActionFailure(
        `pid ${daemon.pid} is in the process group of this very command, ` +
          "not stopped: leave --kill-group away",
      );
    }
    const own = [daemon, monitor, bystander].map((process) => process?.pid);
    const leader = readProcessOrFail(group);
    if (!own.includes(group) && leader?.group === group) {
      throw new ActionFailure(
        `its process group is that of pid ${group} (${
          commandLineOf(group)
        }), ` +
          "not stopped: leave --kill-group away",
      );
    }
    return new GroupHold(daemon, held, group);
  }

  /** All of them. */
  get members(): readonly ProvenProcess[] {
    return [...this.#members.values()];
  }

  /**
   * Looks for those that have been forked meanwhile.
   *
   * A group keeps its number while a process is in it. So who is in it by the
   * number, with a descriptor open, is in the daemon's, if somebody whom we know
   * to be in that lives still when all are found.
   */
  findMore(): void {
    const found = [...readProcesses().values()]
      .filter(({ pid, group, hasEnded }) =>
        group === this.#group && !hasEnded && !this.#except.has(pid) &&
        !this.#members.has(pid)
      )
      .flatMap(({ pid }) =>
        prove(pid, () => readProcess(pid)?.group === this.#group) ?? []
      );
    if (this.#anchors.every(hasEnded)) {
      found.forEach(({ pidfd }) => close(pidfd));
      return;
    }
    for (const process of found) this.#members.set(process.pid, process);
    this.#anchors.push(...found);
  }

  /** Lets go of them. */
  release(): void {
    for (const { pidfd } of this.#members.values()) close(pidfd);
  }
}

/** All processes below a daemon. */
export class TreeHold implements PartsHold {
  readonly #daemon: ProvenProcess;
  readonly #members: ProvenProcess[] = [];

  /** @param daemon The daemon. */
  constructor(daemon: ProvenProcess) {
    this.#daemon = daemon;
    this.findMore();
  }

  /** All of them. */
  get members(): readonly ProvenProcess[] {
    return this.#members;
  }

  /** Looks for more, also below those whose parents have ended since. */
  findMore(): void {
    for (const top of [this.#daemon, ...this.#members]) {
      if (hasEnded(top)) continue;
      for (const process of holdDescendants(ancestor(top), () => true)) {
        // A number is another process's when the one that had it has ended.
        const isKnown = this.#members.some((one) =>
          one.pid === process.pid && !hasEnded(one)
        );
        if (isKnown) close(process.pidfd);
        else this.#members.push(process);
      }
    }
  }

  /** Lets go of them. */
  release(): void {
    for (const { pidfd } of this.#members) close(pidfd);
  }
}
