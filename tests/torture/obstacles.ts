/**
 * What stands in the place of a file of tend's, in a directory where anybody can
 * put something, which another user owns.
 *
 * @module
 */
import { assert } from "@std/assert/assert";
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
  /** Makes it, of a name; `victim` is a directory with files that matter. */
  make(path: string, victim: string): Promise<void> | void;
}

const link = (what: string, target: (victim: string) => string): Obstacle => ({
  what: `a link to ${what}`,
  make: (path, victim) => Deno.symlinkSync(target(victim), path),
});

const file = (what: string, content: string | Uint8Array): Obstacle => ({
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

export const OBSTACLES: readonly Obstacle[] = [
  link("a file that matters", (victim) => `${victim}/precious`),
  link("nothing", (victim) => `${victim}/new`),
  link("a directory", (victim) => victim),
  link("a device", () => "/dev/null"),
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
  ...(IS_ROOT ? [command("a device", "mknod", "%", "c", "1", "3")] : []),
  file("a negative number", "-1\n"),
  file("zero", "0\n"),
  file("the pid of init", "1\n"),
  file("a huge number", `${"9".repeat(400)}\n`),
  file("bytes", Uint8Array.from({ length: 4096 }, (_, i) => i * 37)),
  file("a pid of ours", `${Deno.pid}\n`),
  {
    what: "a file of 1 GB",
    make: (path) => {
      using sparse = Deno.createSync(path);
      sparse.truncateSync(1 << 30);
    },
  },
];

/** Where things are, beside that. */
export interface Obstructed {
  /** The directory. */
  readonly dir: string;
  /** What stands in the way. */
  readonly path: string;
  /** A directory with files that matter. */
  readonly victim: string;
}

/** Puts something in the way. */
export async function obstruct(
  box: Sandbox,
  { obstacle: { make }, place, owner }: {
    readonly obstacle: Obstacle;
    readonly place: string;
    readonly owner: number;
  },
): Promise<Obstructed> {
  // The sandbox's own directory lets nobody else in.
  Deno.chmodSync(box.dir, 0o755);
  const [dir, victim] = [box.path("shared"), box.path("victim")];
  Deno.mkdirSync(victim, { mode: 0o700 });
  Deno.writeTextFileSync(`${victim}/precious`, "precious\n", { mode: 0o600 });
  Deno.mkdirSync(dir);
  const path = `${dir}/${place}`;
  await make(path, victim);
  if (IS_ROOT) {
    const hasOwnOwner = Deno.lstatSync(path).nlink! > 1 &&
      Deno.lstatSync(path).isFile;
    if (!hasOwnOwner) await lchown(path, owner);
    Deno.chownSync(dir, NOBODY, NOBODY);
  }
  Deno.chmodSync(dir, 0o1777);
  return { dir, path, victim };
}

async function lchown(path: string, owner: number): Promise<void> {
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
