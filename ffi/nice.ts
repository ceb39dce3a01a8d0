/**
 * How much of the processor's time a process gets.
 *
 * @module
 */
import { bind, checked } from "./libc.ts";

const libc = bind({
  setpriority: {
    parameters: [
      "i32", // int which
      "u32", // id_t who
      "i32", // int prio
    ],
    result: "i32",
  },
});

const PRIO_PROCESS = 0;

/**
 * Sets the nice value of this process.
 *
 * @param nice The value, -20 to 19; the least gets the most.
 * @throws {LibcError} `EACCES` when it would be lowered without the right to.
 */
export function setNice(nice: number): void {
  checked("setpriority", libc.setpriority(PRIO_PROCESS, 0, nice));
}
