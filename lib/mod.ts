/**
 * Lets a Deno program run as a well-behaved Unix daemon.
 *
 * @module
 */
export { daemonUsage } from "./daemon_options.ts";
export { makePidfileName } from "./pidfile.ts";
export { readPidfile } from "./pidfile_state.ts";
export {
  addExitHook,
  addFileToUnlink,
  removeFileToUnlink,
} from "./fatal_signal.ts";
export { setProgramName } from "./program_name.ts";
export { closeStandardFds } from "./standard_fds.ts";
