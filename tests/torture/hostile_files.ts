/**
 * Files in the places of tend's own that somebody else has put there: in a
 * directory where anybody can, which another user owns.
 *
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { Random } from "../random.ts";
import { Sandbox, TEND } from "../sandbox.ts";
import { hostileArguments } from "./hostile_arguments.ts";
import { hostileMounts } from "./hostile_mounts.ts";
import { hostileNames } from "./hostile_names.ts";
import type { Budget, Row } from "./row.ts";
import { Tally } from "./tally.ts";

const NOBODY = 65534;
const IS_ROOT = Deno.uid() === 0;
/** So long nothing here takes: what does waits for ever. */
const TIMEOUT = ["timeout", "--signal=KILL", "20"];

/** What stands in the way, and how it is made. */
interface Obstacle {
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

const OBSTACLES: readonly Obstacle[] = [
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

/** Where it stands: PIDFILE and what is beside it, and the log. */
const PLACES = ["web.pid", "web.pid.tmp", "web.pid.monitor", "web.log"];

const MODES: readonly (readonly string[])[] = [
  [],
  ["--detach", "--monitor", "--sleep-after=0"],
  ["--detach", "--exec"],
];

/** Who owns what is in the way: us, or another. */
const OWNERS = IS_ROOT ? [0, NOBODY] : [Deno.uid()!];

/** Tries what stands in the way of tend's files. */
export async function hostileFiles(budget: Budget): Promise<Row[]> {
  // The rest is for the others.
  const deadline = Date.now() + budget.seconds * 600;
  const rows = new Map(PLACES.map((place) => [
    place,
    new Tally(`something else in the place of ${place}`),
  ]));
  const cases = OWNERS.flatMap((owner) =>
    OBSTACLES.flatMap((obstacle) =>
      PLACES.flatMap((place) =>
        MODES.map((mode) => ({ owner, obstacle, place, mode }))
      )
    )
  );
  const rest = new Random(budget.seed).shuffled(cases);
  // Where the time is short, some of them; two at once.
  await Promise.all([0, 1].map(async () => {
    for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
      if (Date.now() > deadline) return;
      const { owner, obstacle, place, mode } = next;
      const { what } = obstacle;
      await rows.get(place)!.attempt(
        `${what} of user ${owner} as ${place}, tend ${mode.join(" ")}`,
        () => tryObstacle(obstacle, place, mode, owner),
      );
    }
  }));
  return [
    ...rows.values(),
    ...await hostileMounts(),
    ...await hostileNames({ ...budget, seconds: budget.seconds / 5 }),
    ...await hostileArguments(budget),
  ];
}

async function tryObstacle(
  { what, make }: Obstacle,
  place: string,
  mode: readonly string[],
  owner: number,
): Promise<void> {
  await using box = await Sandbox.create();
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
  const before = { victim: look(victim), place: look(path) };
  const wasLink = lstat(path)?.isSymlink === true;
  const wasNothing = wasLink && what === "a link to nothing" &&
    place === "web.pid";
  const isForeign = (lstat(path)?.uid ?? 0) !== Deno.uid();

  const argv = [`--pidfile=${dir}/web.pid`, `--log-file=${dir}/web.log`];
  const finished = await box.run([
    ...TIMEOUT,
    TEND,
    ...mode,
    ...argv,
    "--",
    ...(mode.length === 0 ? ["true"] : ["sleep", "600"]),
  ]);
  const { code, stderr } = finished;
  assert(code === 0 || code === 1, `exit status ${code}: ${stderr}`);
  if (code === 1) {
    // A sentence for a person, after warnings of what was found.
    assertMatch(stderr, /^(?:\d{4}-\d\d-\d\dT\S+\|WARN\|.*\n)*tend: .+\n$/);
    assertMatch(stderr, /web\.(?:pid|log)/);
    assertEquals(look(path), before.place, "it was changed");
    assertEquals(box.processes(), []);
  } else {
    assertEquals(stderr, "");
    const now = lstat(path);
    // It was left alone, or one of ours is in its place. A link that leads
    // nowhere is no file, and a pidfile takes its name.
    const isOurs = now === undefined || now.isFile && now.uid === Deno.uid();
    if (isForeign && !wasNothing || !isOurs) {
      assertEquals(look(path), before.place, "it was changed");
    }
  }
  await endAll(box);
  // A link of our own is one that we want followed.
  if (!isForeign && wasLink && place === "web.log") return;
  assertEquals(look(victim), before.victim, "what is elsewhere was changed");
}

/** Ends the daemon as an administrator does. */
async function endAll(box: Sandbox): Promise<void> {
  for (const pid of box.processes()) {
    try {
      Deno.kill(pid, "SIGTERM");
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  await box.until("all has ended", () => box.processes().length === 0);
}

async function lchown(path: string, owner: number): Promise<void> {
  const args = ["-hR", `${owner}:${owner}`, path];
  const { success } = await new Deno.Command("chown", { args }).output();
  assert(success);
}

function lstat(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** All that there is to say of a file, and of what is below a directory. */
function look(path: string): unknown {
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
