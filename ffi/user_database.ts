/**
 * What the system knows of users and groups: `/etc/passwd`, `/etc/group` and
 * what else `nsswitch.conf` names.
 *
 * @module
 */
import { cString } from "./c_string.ts";
import { bind, Errno, LibcError } from "./libc.ts";

const libc = bind({
  getpwnam_r: {
    parameters: [
      "buffer", // const char *name
      "buffer", // struct passwd *
      "buffer", // char *
      "usize",
      "buffer", // struct passwd **result
    ],
    result: "i32",
  },
  getpwuid_r: {
    parameters: [
      "u32", // uid_t
      "buffer", // struct passwd *
      "buffer", // char *
      "usize",
      "buffer", // struct passwd **result
    ],
    result: "i32",
  },
  getgrnam_r: {
    parameters: [
      "buffer", // const char *name
      "buffer", // struct group *
      "buffer", // char *
      "usize",
      "buffer", // struct group **result
    ],
    result: "i32",
  },
  getgrouplist: {
    parameters: [
      "buffer", // const char *user
      "u32", // gid_t
      "buffer", // gid_t *
      "buffer", // int *ngroups
    ],
    result: "i32",
  },
  strlen: { parameters: ["pointer" /* const char * */], result: "usize" },
});

/** `struct passwd`, which both architectures have alike. */
const PASSWD = {
  size: 48,
  name: 0,
  uid: 16,
  gid: 20,
  dir: 32,
  shell: 40,
} as const;
/** `struct group`, likewise. */
const GROUP = { size: 32, gid: 16 } as const;

/** No entry is as long; a group of thousands comes near. */
const LARGEST_ENTRY = 16 * 2 ** 20;

/** A user, as the system knows it. */
export interface User {
  /** The name, as bytes. */
  readonly name: Uint8Array<ArrayBuffer>;
  /** The number. */
  readonly uid: number;
  /** The number of the user's group. */
  readonly gid: number;
  /** The home directory, as bytes. */
  readonly home: Uint8Array<ArrayBuffer>;
  /** The shell, as bytes. */
  readonly shell: Uint8Array<ArrayBuffer>;
}

type Bytes = Uint8Array<ArrayBuffer>;

/**
 * Looks a user up.
 *
 * @param user The name or the number.
 * @returns The user; `undefined` when there is none.
 * @throws {LibcError} `EIO`, `EMFILE` and others, when that cannot be told.
 */
export function findUser(user: string | number): User | undefined {
  const name = typeof user === "string" ? cString(user) : undefined;
  const call = name === undefined ? "getpwuid" : "getpwnam";
  return find(call, PASSWD.size, (entry, strings, result) => {
    const size = BigInt(strings.length);
    return name === undefined
      ? libc.getpwuid_r(user as number, entry, strings, size, result)
      : libc.getpwnam_r(name, entry, strings, size, result);
  }, (entry) => ({
    name: stringAt(entry, PASSWD.name),
    uid: entry.getUint32(PASSWD.uid, true),
    gid: entry.getUint32(PASSWD.gid, true),
    home: stringAt(entry, PASSWD.dir),
    shell: stringAt(entry, PASSWD.shell),
  }));
}

/**
 * Looks a group up.
 *
 * @param name Its name.
 * @returns Its number; `undefined` when there is none.
 * @throws {LibcError} As {@linkcode findUser}.
 */
export function findGroup(name: string): number | undefined {
  const group = cString(name);
  return find(
    "getgrnam",
    GROUP.size,
    (entry, strings, result) =>
      libc.getgrnam_r(group, entry, strings, BigInt(strings.length), result),
    (entry) => entry.getUint32(GROUP.gid, true),
  );
}

/** Makes a look-up again with more room, until that is enough. */
function find<T>(
  call: string,
  size: number,
  lookUp: (entry: Bytes, strings: Bytes, result: Bytes) => number,
  // While the strings are there.
  copy: (entry: DataView) => T,
): T | undefined {
  for (let room = 1024;; room *= 4) {
    const entry = new Uint8Array(size);
    const strings = new Uint8Array(room);
    const result = new BigUint64Array(1);
    const why = lookUp(entry, strings, new Uint8Array(result.buffer));
    if (why === Errno.ERANGE && room < LARGEST_ENTRY) continue;
    if (result[0] !== 0n) return copy(new DataView(entry.buffer));
    // Databases say in these ways too that there is no entry.
    if (why === 0 || why === Errno.ENOENT || why === Errno.ESRCH) {
      return undefined;
    }
    throw new LibcError(call, why);
  }
}

function stringAt(entry: DataView, offset: number): Bytes {
  const address = Deno.UnsafePointer.create(entry.getBigUint64(offset, true));
  if (address === null) return new Uint8Array();
  const bytes = new Uint8Array(Number(libc.strlen(address)));
  Deno.UnsafePointerView.copyInto(address, bytes);
  return bytes;
}

/**
 * The groups of a user, as after a login.
 *
 * @param name The user's name.
 * @param gid One more, the first of them.
 * @returns Their numbers.
 */
export function groupsOf(name: Uint8Array, gid: number): number[] {
  const user = cString(name);
  for (let room = 64;; room *= 4) {
    const gids = new Uint32Array(room);
    const count = Int32Array.of(room);
    const [list, length] = [gids, count].map(({ buffer }) =>
      new Uint8Array(buffer)
    ) as [Bytes, Bytes];
    const found = libc.getgrouplist(user, gid, list, length);
    if (found !== -1) return [...gids.subarray(0, found)];
  }
}
