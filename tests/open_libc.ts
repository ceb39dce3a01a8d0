/**
 * Opens libc before the first test, and so for none of them: it stays open,
 * and `deno test` would take it for something that a test has left behind.
 *
 * @module
 */
import { geteuid } from "../ffi/user.ts";

geteuid();
