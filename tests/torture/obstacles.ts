/**
 * What stands in the place of a file of tend's, in a directory where anybody can
 * put something, which another user owns.
 *
 * @module
 */
import { assert } from "@std/assert/assert";
import { equal } from "@std/assert/equal";
import { assertEquals } from "@std/assert/equals";
import type { Sandbox } from "../sandbox.ts";

const NOBODY = 65534;
const IS_ROOT = Deno.uid() === 0;

/** So long nothing takes that is tried there: what does waits for ever. */
export const TIMEOUT = ["timeout", "--signal=KILL", "20"];

/** Who owns what is in the way: us, or another. */
export const OWNERS = IS_ROOT ? [0, NOBODY] : [Deno.uid()!];

/** What stands in the way, and how it is made. */
export interface Obstacle {
  readonly what: string;
  /**
   * Makes it, of a name; `victim` is a directory with files that matter. May
   * return a process of another user's that it has started for that.
   */
  make(path: string, victim: string): Made | Promise<Made>;
}

type Made = Deno.ChildProcess | void;

const link = (what: string, target: (victim: string) => string): Obstacle => ({
  what: `a link to ${what}`,
  make: (path, victim) => Deno.symlinkSync(target(victim), path),
});

/** A file with a content. */
export const file = (what: string, content: string | Uint8Array): Obstacle => ({
  what: `a file with ${what}`,
  make: (path) => {
    const bytes = typeof content === "string"
      ? new TextEncoder().encode(content)
      : content;
    Deno.writeFileSync(path, bytes, { mode: 0o666 });
  },
});

const command = (what: string, ...argv: string[]): Obstacle => ({
  what,
  make: async (path) => {
    const [program, ...args] = argv.map((word) => word === "%" ? path : word);
    const { success } = await new Deno.Command(program!, { args }).output();
    assert(success, `${argv}`);
  },
});

/** A file that names the process of another user that holds its lock. */
export const LOCKED = "a file that another user has locked";

const LOCK = `
import fcntl, os, sys, time
file = open(sys.argv[1], "r+")
fcntl.lockf(file, fcntl.LOCK_EX)
file.write(f"{os.getpid()}\\n")
file.flush()
print("locked", flush=True)
time.sleep(600)`;

/** Starts a process that is no part of the sandbox, and for root another user's. */
function startOther(program: string, args: string[]): Deno.ChildProcess {
  return new Deno.Command(program, {
    args,
    ...(IS_ROOT ? { uid: NOBODY, gid: NOBODY } : {}),
    cwd: "/",
    clearEnv: true,
    env: { PATH: Deno.env.get("PATH")! },
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
}

export const OBSTACLES: readonly Obstacle[] = [
  link("a file that matters", (victim) => `${victim}/precious`),
  link("nothing", (victim) => `${victim}/new`),
  link("a directory", (victim) => victim),
  link("a device", () => "/dev/null"),
  link("a device without an end", () => "/dev/zero"),
  link("itself", () => "web.pid"),
  link("/proc/self/mem", () => "/proc/self/mem"),
  {
    what: "another name of a file that matters",
    make: (path, victim) => Deno.linkSync(`${victim}/precious`, path),
  },
  {
    what: "a directory",
    make: (path) => {
      Deno.mkdirSync(path);
      Deno.writeTextFileSync(`${path}/inside`, "precious\n");
    },
  },
  command("a FIFO", "mkfifo", "%"),
  command(
    "a socket",
    "python3",
    "-c",
    "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])",
    "%",
  ),
  ...(IS_ROOT
    ? [
      command("a device", "mknod", "%", "c", "1", "3"),
      command("a device without an end", "mknod", "%", "c", "1", "5"),
    ]
    : []),
  file("a negative number", "-1\n"),
  file("zero", "0\n"),
  file("the pid of init", "1\n"),
  file("a huge number", `${"9".repeat(400)}\n`),
  file("bytes", Uint8Array.from({ length: 4096 }, (_, i) => i * 37)),
  file("a pid of ours", `${Deno.pid}\n`),
  {
    what: "a file with another user's pid",
    make: (path) => {
      const process = startOther("sleep", ["600"]);
      Deno.writeTextFileSync(path, `${process.pid}\n`, { mode: 0o666 });
      return process;
    },
  },
  {
    what: LOCKED,
    make: async (path) => {
      Deno.writeTextFileSync(path, "");
      Deno.chmodSync(path, 0o666);
      const process = startOther("python3", ["-c", LOCK, path]);
      // It says so when it has the lock.
      const reader = process.stdout.getReader();
      const { done } = await reader.read();
      await reader.cancel();
      assert(!done, "not locked");
      return process;
    },
  },
  {
    what: "a file of 1 GB",
    make: (path) => {
      using sparse = Deno.createSync(path);
      sparse.truncateSync(1 << 30);
    },
  },
];

/** One of the obstacles, somewhere. */
export interface Placing {
  readonly obstacle: Obstacle;
  /** The name that it has. */
  readonly place: string;
  /** Whose it is. */
  readonly owner: number;
}

/** A link that leads nowhere is no file, and a pidfile takes its name. */
export function isPassedOver({ obstacle, place }: Placing): boolean {
  return obstacle.what === "a link to nothing" && place === "web.pid";
}

/**
 * Each obstacle, everybody's, in each place.
 *
 * @param places The names that they have.
 * @param ways What is tried with each of them.
 */
export function placings<Way>(
  places: readonly string[],
  ways: readonly Way[],
): (Placing & { readonly way: Way })[] {
  return OWNERS.flatMap((owner) =>
    OBSTACLES.flatMap((obstacle) =>
      places.flatMap((place) =>
        ways.map((way) => ({ owner, obstacle, place, way }))
      )
    )
  );
}

/** A directory where anybody can put something, which another user owns. */
export interface Shared {
  /** The directory. */
  readonly dir: string;
  /** A directory with files that matter. */
  readonly victim: string;
}

/** Something that stands in the way there, until it is disposed of. */
export class Obstructed implements Shared, AsyncDisposable {
  readonly dir: string;
  readonly victim: string;
  /** What stands in the way. */
  readonly path: string;
  /** Whether another user has put it there. */
  readonly isForeign: boolean;
  readonly #before: { readonly victim: unknown; readonly path: unknown };
  readonly #other: Deno.ChildProcess | undefined;
  #hasOtherEnded = false;

  /** @param other The process of another user's that belongs to it. */
  constructor(
    { dir, victim }: Shared,
    path: string,
    other: Deno.ChildProcess | undefined,
  ) {
    [this.dir, this.victim, this.path] = [dir, victim, path];
    this.isForeign = lstat(path)?.uid !== Deno.uid();
    this.#before = { victim: look(victim), path: look(path) };
    this.#other = other;
    other?.status.then(() => this.#hasOtherEnded = true);
  }

  /** Whether it is as it was put there. */
  get isUntouched(): boolean {
    return equal(look(this.path), this.#before.path);
  }

  /** Checks that it is as it was put there. */
  assertUntouched(): void {
    assertEquals(look(this.path), this.#before.path, "it was changed");
  }

  /** Checks that nothing elsewhere was changed, and nobody else's ended. */
  async assertRestUntouched(): Promise<void> {
    assertEquals(
      look(this.victim),
      this.#before.victim,
      "what is elsewhere was changed",
    );
    // A round of the event loop, in which its end would be heard of.
    await new Promise((resolve) => setTimeout(resolve, 0));
    assert(!this.#hasOtherEnded, "another user's process was ended");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#other === undefined) return;
    if (!this.#hasOtherEnded) this.#other.kill("SIGKILL");
    await this.#other.status;
    if (!this.#other.stdout.locked) await this.#other.stdout.cancel();
  }
}

/** Makes a directory where anybody can put something. */
export function share(box: Sandbox): Shared {
  // The sandbox's own directory lets nobody else in.
  Deno.chmodSync(box.dir, 0o755);
  const [dir, victim] = [box.path("shared"), box.path("victim")];
  Deno.mkdirSync(victim, { mode: 0o700 });
  Deno.writeTextFileSync(`${victim}/precious`, "precious\n", { mode: 0o600 });
  Deno.mkdirSync(dir);
  if (IS_ROOT) Deno.chownSync(dir, NOBODY, NOBODY);
  Deno.chmodSync(dir, 0o1777);
  return { dir, victim };
}

/** Puts something in the way, in place of what is there. */
export async function obstruct(
  shared: Shared,
  { obstacle: { make }, place, owner }: Placing,
): Promise<Obstructed> {
  const path = `${shared.dir}/${place}`;
  // The directory's owner may.
  if (lstat(path) !== undefined) Deno.removeSync(path);
  const other = await make(path, shared.victim) ?? undefined;
  const stat = Deno.lstatSync(path);
  const hasOwnOwner = stat.isFile && stat.nlink! > 1;
  if (IS_ROOT && !hasOwnOwner) await lchown(path, owner);
  return new Obstructed(shared, path, other);
}

/** Gives a file, and what is below a directory, to another user. */
export async function lchown(path: string, owner: number): Promise<void> {
  const args = ["-hR", `${owner}:${owner}`, path];
  const { success } = await new Deno.Command("chown", { args }).output();
  assert(success);
}

/** Looks at a file itself; `undefined` when there is none. */
export function lstat(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** All that there is to say of a file, and of what is below a directory. */
export function look(path: string): unknown {
  const stat = lstat(path);
  if (stat === undefined) return undefined;
  const { ino, mode, uid, gid, size, nlink } = stat;
  const isDirectory = stat.isDirectory;
  return {
    ...{ ino, mode, uid, gid, nlink },
    ...(isDirectory ? {} : { size, mtime: stat.mtime?.getTime() }),
    content: stat.isSymlink
      ? Deno.readLinkSync(path)
      : isDirectory
      ? [...Deno.readDirSync(path)].map(({ name }) => name).sort()
        .map((name) => [name, look(`${path}/${name}`)])
      : stat.isFile && size < 1e6
      ? Deno.readTextFileSync(path)
      : undefined,
  };
}
