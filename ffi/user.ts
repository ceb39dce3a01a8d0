/**
 * Users.
 *
 * @module
 */
import { bind } from "./libc.ts";

const libc = bind({
  geteuid: { parameters: [], result: "u32" }, // uid_t
});

/**
 * The user whose rights this process has.
 *
 * @returns The user's number; 0 is root.
 */
export function geteuid(): number {
  return libc.geteuid();
}
