/**
 * What `ps` shows of a process. Port of the proctitle part of command-line.c.
 *
 * @module
 */
import { setArgv } from "../ffi/argv.ts";
import { readFile } from "../ffi/file.ts";
import { LibcError } from "../ffi/libc.ts";
import { programName } from "./program_name.ts";
import { type Vlog, vlogModule } from "./vlog.ts";

const vlog: Vlog = vlogModule("command_line");

/** The arguments as they were, while the title is another. */
let original: Uint8Array | undefined;
let refused = false;

/**
 * Sets the process's title, with the program's name before it. Port of
 * `ovs_cmdl_proctitle_set()`; the C cuts it to the length of the arguments.
 *
 * @param title What the process does: `monitoring pid 9 (healthy)`.
 */
export function proctitleSet(title: string): void {
  if (refused) return;
  try {
    original ??= readFile("/proc/self/cmdline");
    setArgv(`${programName()}: ${title}`);
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    // A title is a courtesy: supervision goes on without.
    refused = true;
    vlog.dbg(`cannot set the process title: ${error.message}`);
  }
}

/**
 * Shows the arguments again. Port of `ovs_cmdl_proctitle_restore()`.
 */
export function proctitleRestore(): void {
  if (original === undefined || refused) return;
  setArgv(original);
  original = undefined;
}
