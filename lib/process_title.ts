/**
 * What `ps` shows of a process. Port of the proctitle part of command-line.c.
 *
 * @module
 */
import { restoreArgv, setArgv } from "../ffi/argv.ts";
import { LibcError } from "../ffi/libc.ts";
import { programName } from "./program_name.ts";
import { type Vlog, vlogModule } from "./vlog.ts";

const vlog: Vlog = vlogModule("command_line");

let refused = false;

/**
 * Sets the process's title, with the program's name before it. Port of
 * `ovs_cmdl_proctitle_set()`; the C cuts it to the length of the arguments.
 *
 * @param title What the process does: `monitoring pid 9 (healthy)`.
 */
export function proctitleSet(title: string): void {
  courtesy(() => setArgv(`${programName()}: ${title}`));
}

/**
 * Shows the arguments again. Port of `ovs_cmdl_proctitle_restore()`.
 */
export function proctitleRestore(): void {
  courtesy(restoreArgv);
}

/** A title is a courtesy: supervision goes on without. */
function courtesy(change: () => void): void {
  if (refused) return;
  try {
    change();
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    refused = true;
    vlog.dbg(`cannot set the process title: ${error.message}`);
  }
}
