/**
 * The user that a command is to run as.
 *
 * @module
 */
import { toBytes } from "../../ffi/c_string.ts";
import { LibcError } from "../../ffi/libc.ts";
import { getresgid, getresuid, LARGEST_ID } from "../../ffi/user.ts";
import {
  findGroup,
  findUser,
  groupsOf,
  type User,
} from "../../ffi/user_database.ts";
import { UsageError } from "../options.ts";
import type { Identity } from "../surroundings.ts";

/** A user that a command is to run as. */
export interface Account {
  /** What its process becomes; nothing where it is that already. */
  readonly identity: Identity | undefined;
  /** The variables that it has of the user, as a login sets them. */
  readonly env: readonly Uint8Array[];
}

/** Of a user that the system knows by number alone. */
const NOBODYS = { home: "/", shell: "/bin/sh" };

/**
 * Looks up the user that a command is to run as. The groups are the user's, and
 * the one that is named, in place of the user's own first.
 *
 * @param text `USER` or `USER:GROUP`, names or numbers. What is all digits is a
 * number.
 * @returns The user.
 * @throws {UsageError} When it is neither.
 * @throws {Error} When the system does not know a name, or the user is another
 * and we are not root.
 */
export function findAccount(text: string): Account {
  const option = `option --user=${text}`;
  const [, userText, groupText] = /^([^:]+)(?::([^:]+))?$/.exec(text) ?? [];
  if (userText === undefined) {
    throw new UsageError(`${option}: not USER or USER:GROUP`);
  }
  const [uidGiven, gidGiven] = [userText, groupText].map((word) =>
    idOf(option, word)
  );
  try {
    const user = findUser(uidGiven ?? userText);
    const uid = uidGiven ?? user?.uid;
    if (uid === undefined) {
      throw new Error(`${option}: there is no user ${userText}`);
    }
    const gid = groupText === undefined
      ? user?.gid
      : gidGiven ?? findGroup(groupText);
    if (gid === undefined) {
      throw new Error(
        groupText === undefined
          ? `${option}: the system has no user of that number and so no ` +
            `group: name it, --user=${userText}:GROUP`
          : `${option}: there is no group ${groupText}`,
      );
    }
    const env = loginVariables(user, userText);
    if (isOurs(option, uid, groupText === undefined ? undefined : gid)) {
      return { identity: undefined, env };
    }
    const groups = user === undefined ? [gid] : groupsOf(user.name, gid);
    return { identity: { uid, gid, groups }, env };
  } catch (error) {
    if (!(error instanceof LibcError)) throw error;
    throw new Error(`${option}: ${error.message}`, { cause: error });
  }
}

function idOf(option: string, word: string | undefined): number | undefined {
  if (word === undefined || !/^\d+$/.test(word)) return undefined;
  const id = Number(word);
  if (id <= LARGEST_ID) return id;
  throw new UsageError(`${option}: ${word} is above ${LARGEST_ID}`);
}

function loginVariables(
  user: User | undefined,
  userText: string,
): Uint8Array[] {
  const name = user?.name ?? userText;
  return [
    variable("HOME", orElse(user?.home, NOBODYS.home)),
    variable("USER", name),
    variable("LOGNAME", name),
    variable("SHELL", orElse(user?.shell, NOBODYS.shell)),
  ];
}

/** An empty field of the database stands for this too. */
function orElse(
  field: Uint8Array | undefined,
  missing: string,
): Uint8Array | string {
  return field === undefined || field.length === 0 ? missing : field;
}

function variable(name: string, value: Uint8Array | string): Uint8Array {
  return Uint8Array.of(...toBytes(`${name}=`), ...toBytes(value));
}

/**
 * Whether there is nothing to become. Who is not root can become nobody else, and
 * keeps the groups.
 */
function isOurs(option: string, uid: number, gid: number | undefined): boolean {
  const [users, groups] = [getresuid(), getresgid()];
  if (users.effective === 0) return false;
  const isOne = Object.values(users).every((id) => id === uid) &&
    (gid === undefined || Object.values(groups).every((id) => id === gid));
  if (isOne) return true;
  throw new Error(
    `${option}: only root can become another user or group, and this is user ` +
      `${users.effective}`,
  );
}
