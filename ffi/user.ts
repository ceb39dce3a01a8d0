/**
 * Users: whose rights this process has, and giving them up.
 *
 * @module
 */
import { bind, checked, Errno, errno, LibcError } from "./libc.ts";

const libc = bind({
  geteuid: { parameters: [], result: "u32" }, // uid_t
  getresuid: {
    parameters: ["buffer", "buffer", "buffer" /* uid_t * */],
    result: "i32",
  },
  getresgid: {
    parameters: ["buffer", "buffer", "buffer" /* gid_t * */],
    result: "i32",
  },
  setresuid: {
    parameters: ["u32", "u32", "u32" /* uid_t */],
    result: "i32",
  },
  setresgid: {
    parameters: ["u32", "u32", "u32" /* gid_t */],
    result: "i32",
  },
  setgroups: {
    parameters: ["usize", /* size_t */ "buffer" /* const gid_t * */],
    result: "i32",
  },
  prctl: {
    parameters: ["i32", /* int op */ "u64", "u64", "u64", "u64"],
    result: "i32",
  },
});

const PR_SET_NO_NEW_PRIVS = 38;
/** To libc it is no number but "leave it". */
const NO_ID = 0xffff_ffff;
/** The largest number that a user or a group can have. */
export const LARGEST_ID = 0xffff_fffe;

/** The three numbers that a process has of a user or of a group. */
export interface ResIds {
  /** Whose process it is. */
  readonly real: number;
  /** Whose rights it has. */
  readonly effective: number;
  /** Whose rights it may take back. */
  readonly saved: number;
}

/**
 * The user whose rights this process has.
 *
 * @returns The user's number; 0 is root.
 */
export function geteuid(): number {
  return libc.geteuid();
}

/**
 * The users of this process.
 *
 * @returns Their numbers.
 * @throws {LibcError} Does not happen on Linux.
 */
export function getresuid(): ResIds {
  return threeOf("getresuid", libc.getresuid);
}

/**
 * The groups of this process, but for the supplementary ones.
 *
 * @returns Their numbers.
 * @throws {LibcError} Does not happen on Linux.
 */
export function getresgid(): ResIds {
  return threeOf("getresgid", libc.getresgid);
}

function threeOf(
  call: string,
  get: (
    a: Uint8Array<ArrayBuffer>,
    b: Uint8Array<ArrayBuffer>,
    c: Uint8Array<ArrayBuffer>,
  ) => number,
): ResIds {
  const ids = new Uint32Array(3);
  const place = (index: number) => new Uint8Array(ids.buffer, 4 * index, 4);
  checked(call, get(place(0), place(1), place(2)));
  return { real: ids[0]!, effective: ids[1]!, saved: ids[2]! };
}

/**
 * Makes this process a user's, in all three numbers. Of root's it takes all
 * capabilities.
 *
 * @param uid The user's number.
 * @throws {LibcError} `EPERM`; `EINVAL` when the user namespace lacks it.
 */
export function setresuid(uid: number): void {
  checked("setresuid", libc.setresuid(uid, uid, uid));
}

/**
 * Makes this process a group's, in all three numbers.
 *
 * @param gid The group's number.
 * @throws {LibcError} As {@linkcode setresuid}.
 */
export function setresgid(gid: number): void {
  checked("setresgid", libc.setresgid(gid, gid, gid));
}

/**
 * Sets the supplementary groups of this process.
 *
 * @param gids Their numbers.
 * @throws {LibcError} `EPERM`, `EINVAL` for too many.
 */
export function setgroups(gids: readonly number[]): void {
  const list = new Uint8Array(Uint32Array.from(gids).buffer);
  checked("setgroups", libc.setgroups(BigInt(gids.length), list));
}

/**
 * Tries to have root's rights again.
 *
 * @returns Whether that has worked, and this process has them now.
 * @throws {LibcError} When it was not for want of the right that it failed.
 */
export function regainRoot(): boolean {
  if (libc.setresuid(NO_ID, 0, NO_ID) === 0) return true;
  const why = errno();
  // The second where a user namespace has no root at all.
  if (why === Errno.EPERM || why === Errno.EINVAL) return false;
  throw new LibcError("setresuid", why);
}

/**
 * Has no program that this process or a child of its executes give it more
 * rights, by a set-user-ID bit for example. It is for good.
 *
 * @throws {LibcError} Does not happen since Linux 3.5.
 */
export function setNoNewPrivileges(): void {
  checked(
    "prctl(PR_SET_NO_NEW_PRIVS)",
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1n, 0n, 0n, 0n),
  );
}
