/**
 * Inheriting the processes that descendants leave behind.
 *
 * @module
 */
import { bind, checked } from "./libc.ts";

const libc = bind({
  prctl: { parameters: ["i32", /* int op */ "u64"], result: "i32" },
});

/** `prctl()`: to inherit what descendants leave behind. */
export const PR_SET_CHILD_SUBREAPER = 36;

/**
 * Has this process become the parent of each descendant whose own parent ends,
 * as the first process of the system does otherwise. That lasts through
 * `execve()`, and is not inherited by children.
 *
 * @throws {LibcError} `EINVAL` before Linux 3.4.
 */
export function becomeSubreaper(): void {
  checked(
    "prctl(PR_SET_CHILD_SUBREAPER)",
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1n),
  );
}
