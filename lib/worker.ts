/**
 * Workers: what is the whole process's affair is not theirs.
 *
 * @module
 */
import { isMainThread } from "../ffi/process.ts";

/**
 * Whether this runs in a Worker, Deno's or one of `node:worker_threads`.
 *
 * @returns Whether it does.
 */
export function isWorker(): boolean {
  return "WorkerGlobalScope" in globalThis || !isMainThread();
}

/**
 * Refuses what a Worker cannot do: it has modules and state of its own.
 *
 * @param what What was called, and why that is refused.
 * @throws {Error} In a Worker.
 */
export function refuseWorker(what: string): void {
  if (isWorker()) throw new Error(what);
}
