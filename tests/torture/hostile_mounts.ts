/**
 * File systems that are full, and such that nobody can write to.
 *
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { CANNOT_UNSHARE } from "../program.ts";
import { Sandbox, TEND } from "../sandbox.ts";
import { leftOutRow, type Row } from "./row.ts";
import { Tally } from "./tally.ts";

const UNSHARE = [
  "unshare",
  ...(Deno.uid() === 0 ? [] : ["--user", "--map-root-user"]),
  "--mount",
];

/**
 * Mounts at $1 what $2 says, fills it up to $3 blocks, runs the rest, and lists
 * what is there then.
 */
const SCRIPT = `mount -t tmpfs -o "$2" tmpfs "$1" || exit 99
dir=$1 fill=$3; shift 3
[ "$fill" = 0 ] || dd if=/dev/zero of="$dir/fill" bs=4096 count="$fill" 2>/dev/null
"$@"; code=$?; ls -A "$dir"; exit $code`;

/** How many of 8 blocks are taken before. */
const FULL = [6, 7, 8];

const FULL_WHAT = "a file system that is nearly full, or full";
const FROZEN_WHAT = "a file system that is read-only";

const MODES: readonly (readonly string[])[] = [
  [],
  ["--monitor", "-v=console:off"],
  ["--detach", "--monitor"],
];

/** Tries mounts that nothing more goes into. */
export async function hostileMounts(): Promise<Row[]> {
  if (CANNOT_UNSHARE) {
    return [FULL_WHAT, FROZEN_WHAT].map((what) =>
      leftOutRow(what, "needs namespaces")
    );
  }
  const full = new Tally(FULL_WHAT);
  const frozen = new Tally(FROZEN_WHAT);
  for (const mode of MODES) {
    for (const fill of FULL) {
      await full.attempt(
        `${fill} of 8 blocks, tend ${mode.join(" ")}`,
        () => tryMount("size=32k", fill, mode),
      );
    }
    await full.attempt(
      `no inode, tend ${mode.join(" ")}`,
      () => tryMount("size=32k,nr_inodes=2", 0, mode),
    );
    await frozen.attempt(
      `tend ${mode.join(" ")}`,
      () => tryMount("ro", 0, mode),
    );
  }
  return [full, frozen];
}

async function tryMount(
  options: string,
  fill: number,
  mode: readonly string[],
): Promise<void> {
  await using box = await Sandbox.create();
  const dir = box.path("mount");
  Deno.mkdirSync(dir);
  const { code, stdout, stderr } = await box.run([
    ...UNSHARE,
    ...["sh", "-c", SCRIPT, "sh", dir, options, `${fill}`],
    ...["timeout", "--signal=KILL", "20", TEND, ...mode],
    ...[`--pidfile=${dir}/web.pid`, `--log-file=${dir}/web.log`],
    ...["--", ...(mode[0] === "--detach" ? ["sleep", "600"] : ["true"])],
  ]);
  const files = stdout.split("\n").filter((name) =>
    !["", "fill", "web.log"].includes(name)
  );
  if (code === 0) {
    // What finds no room in the log, or beside the pidfile, is said and stops
    // nothing.
    assertMatch(stderr, /^(?:(?:tend: |\S+\|WARN\|).* \(No space left.*\n)*$/);
    assertEquals(
      files,
      mode[0] === "--detach" ? ["web.pid", "web.pid.monitor"] : [],
    );
    return;
  }
  assertEquals(code, 1, stderr);
  assert(!/\n\s+at /.test(stderr), stderr);
  assertMatch(
    stderr,
    /^tend: .* failed \((?:No space left on device|Read-only file system)\)$/m,
  );
  assertEquals([files, box.processes()], [[], []], stderr);
}
