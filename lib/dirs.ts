/**
 * The directories for pidfiles and logs. Port of dirs.c.
 *
 * @module
 */
import { isAbsolute } from "@std/path/is-absolute";
import { join } from "@std/path/join";
import { resolve } from "@std/path/resolve";
import { fromUtf8 } from "../ffi/c_string.ts";
import { mkdir } from "../ffi/directory.ts";
import { getenv } from "../ffi/environment.ts";
import { umask } from "../ffi/file.ts";
import { isDirectory, statFile } from "../ffi/file_stat.ts";
import { Errno, LibcError } from "../ffi/libc.ts";
import { geteuid } from "../ffi/user.ts";

/**
 * The directory for pidfiles: `TEND_RUNDIR`; else `/run/tend` for root, and
 * `$XDG_RUNTIME_DIR/tend` or `~/.local/state/tend` for others. Port of
 * `ovs_rundir()`.
 *
 * @returns Its absolute path. It may not be there.
 * @throws {Error} When nothing says where it is.
 */
export function rundir(): string {
  return directory("TEND_RUNDIR", "/run/tend", "XDG_RUNTIME_DIR");
}

/**
 * The directory for logs: `TEND_LOGDIR`; else `/var/log/tend` for root, and
 * `$XDG_STATE_HOME/tend` or `~/.local/state/tend` for others. Port of
 * `ovs_logdir()`.
 *
 * @returns Its absolute path. It may not be there.
 * @throws {Error} When nothing says where it is.
 */
export function logdir(): string {
  return directory("TEND_LOGDIR", "/var/log/tend", "XDG_STATE_HOME");
}

function directory(override: string, forRoot: string, xdg: string): string {
  const given = variable(override);
  if (given) {
    if (isAbsolute(given)) return resolve(given);
    throw new Error(`${override}: ${given} is not an absolute path`);
  }
  if (geteuid() === 0) return forRoot;
  // The XDG specification wants relative ones to be passed over.
  const base = variable(xdg);
  if (base && isAbsolute(base)) return join(base, "tend");
  const home = variable("HOME");
  if (home && isAbsolute(home)) return join(home, ".local/state/tend");
  throw new Error(
    `no directory to use: neither ${override} nor ${xdg} nor HOME is set`,
  );
}

function variable(name: string): string | undefined {
  const value = getenv(name);
  return value && fromUtf8(value, name);
}

/**
 * Makes a directory and those above it. Others may look into root's, since
 * whether a daemon runs is no secret; a user's own are the user's alone.
 *
 * @param path The directory.
 * @throws {Error} When it cannot be made or is something else.
 */
export function makeDirectory(path: string): void {
  try {
    if (isDirectory(statFile(path))) return;
    throw new Error(`${path}: is not a directory`);
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    if (error.errno !== Errno.ENOENT) {
      throw new Error(`${path}: ${error.message}`, { cause: error });
    }
  }
  makeDirectory(join(path, ".."));
  // Whatever the caller's umask is, we have to use the directory ourselves.
  const callers = umask(0o077);
  umask(callers & 0o077);
  try {
    mkdir(path, geteuid() === 0 ? 0o755 : 0o700);
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    // Somebody else may have made it since we looked.
    if (error.errno !== Errno.EEXIST || !leadsToDirectory(path)) {
      throw new Error(`${path}: ${error.message}`, { cause: error });
    }
  } finally {
    umask(callers);
  }
}

function leadsToDirectory(path: string): boolean {
  try {
    return isDirectory(statFile(path));
  } catch (error) {
    if (error instanceof LibcError) return false;
    throw error;
  }
}
