/**
 * Lets a Deno program run as a well-behaved Unix daemon: in the background,
 * with a locked pidfile, under a monitor that restarts it when it crashes.
 *
 * @example A web server
 * ```ts
 * import {
 *   daemonizeComplete,
 *   daemonizeStart,
 *   parseDaemonOptions,
 * } from "@tend/daemon";
 *
 * const { options, rest } = parseDaemonOptions(Deno.args);
 * const port = Number(rest[0] ?? 8000);
 * daemonizeStart(options); // returns in the daemon
 * Deno.serve({ port }, () => new Response("Hello")); // may fail: the caller hears
 * daemonizeComplete(); // the caller's prompt returns now
 * ```
 *
 * @module
 */
export { daemonUsage } from "./daemon_options.ts";
export {
  daemonize,
  daemonizeComplete,
  daemonizeStart,
  type DaemonOptions,
  parseDaemonOptions,
} from "./daemonize.ts";
export {
  addExitHook,
  addFileToUnlink,
  removeFileToUnlink,
} from "./fatal_signal.ts";
export { RESTART_EXIT_CODE } from "./restart.ts";
export { makePidfileName } from "./pidfile.ts";
export { readPidfile } from "./pidfile_state.ts";
export { setProgramName } from "./program_name.ts";
export { closeStandardFds } from "./standard_fds.ts";
