/**
 * Process groups.
 *
 * @module
 */
import { bind } from "./libc.ts";

const libc = bind({
  getpgid: { parameters: ["i32" /* pid_t */], result: "i32" }, // pid_t
});

/**
 * The process group of a process.
 *
 * @param pid The process; 0 for this one.
 * @returns The group; `undefined` when there is no such process.
 */
export function groupOf(pid: number): number | undefined {
  const group = libc.getpgid(pid);
  return group === -1 ? undefined : group;
}
