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

/**
 * Starts a daemon in $1, has it crash while somebody else takes all blocks and
 * inodes there, and waits until its successor runs once they are given back, or
 * before. $2 is tend, $3 its log, the rest are its options.
 */
const FILLED = `mount -t tmpfs -o size=64k,nr_inodes=32 tmpfs "$1" || exit 99
dir=$1 tend=$2 log=$3; shift 3
"$tend" --detach --monitor --pidfile="$dir/web.pid" --log-file="$log" \\
  --restart-delay=50ms "$@" -- sleep 600 || exit 98
first=$(cat "$dir/web.pid")
while :; do
  dd if=/dev/zero bs=4096 count=16 >>"$dir/fill"; n=$((n+1)); : >"$dir/fill$n"
  sleep 0.01
done 2>/dev/null &
until [ -e "$dir/fill9" ]; do sleep 0.01; done
kill -SEGV "$first"
successor() { pid=$(cat "$dir/web.pid") && [ "$pid" -ne "$first" ]; }
until successor || grep -q "No space left" "$log"; do sleep 0.05; done
kill $!; wait $!; rm "$dir"/fill*
until successor; do sleep 0.05; done 2>/dev/null
"$tend" stop "$dir/web.pid"; code=$?; ls -A "$dir"; exit $code`;

/** How many of 8 blocks are taken before. */
const FULL = [6, 7, 8];

const FULL_WHAT = "a file system that is nearly full, or full";
const FILLED_WHAT = "a restart on a file system that has become full";
const FROZEN_WHAT = "a file system that is read-only";

const MODES: readonly (readonly string[])[] = [
  [],
  ["--monitor", "-v=console:off"],
  ["--detach", "--monitor"],
];

/** Tries mounts that nothing more goes into. */
export async function hostileMounts(): Promise<Row[]> {
  if (CANNOT_UNSHARE) {
    return [FULL_WHAT, FILLED_WHAT, FROZEN_WHAT].map((what) =>
      leftOutRow(what, "needs namespaces")
    );
  }
  const full = new Tally(FULL_WHAT, MODES.length * (FULL.length + 1));
  const frozen = new Tally(FROZEN_WHAT, MODES.length);
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
  const filled = new Tally(FILLED_WHAT);
  for (const after of ["0", "never"]) {
    await filled.attempt(`--sleep-after=${after}`, () => tryFilled(after));
  }
  return [full, filled, frozen];
}

async function tryFilled(after: string): Promise<void> {
  await using box = await Sandbox.create();
  const dir = box.path("mount");
  Deno.mkdirSync(dir);
  const log = box.path("web.log");
  const { code, stdout, stderr } = await box.run([
    ...[...UNSHARE, "timeout", "--signal=KILL", "40", "sh", "-c", FILLED, "sh"],
    ...[dir, TEND, log, `--sleep-after=${after}`],
  ]);
  assertEquals([code, stdout], [0, ""], `${stderr}${box.read(log)}`);
  assert(!/\n\s+at /.test(box.read(log) ?? ""), box.read(log));
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
