/**
 * What gets in the way of a daemon's files while it runs: something else in
 * their places, and file systems that become full or read-only. Its monitor goes
 * on, says why it cannot start another, and does when it can.
 *
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { childrenOf, isAlive, parentOf } from "../proc.ts";
import { CANNOT_UNSHARE } from "../program.ts";
import { Sandbox, TEND } from "../sandbox.ts";
import {
  isPassedOver,
  lstat,
  obstruct,
  type Placing,
  placings,
  share,
  TIMEOUT,
} from "./obstacles.ts";
import { drawn } from "./drawn.ts";
import { type Budget, leftOutRow, partOf, type Row } from "./row.ts";
import { Tally } from "./tally.ts";

const PLACES = ["web.pid", "web.pid.tmp", "web.pid.monitor", "web.log"]
  .concat("web.out", "web.out.1");

const SLEEPS = ["--sleep-after=0", "--sleep-after=1h"];

const MOUNT_WHAT =
  "a file system that becomes full or read-only under a monitor";

/** Tries what happens between a start and a restart. */
export async function hostileRestarts(
  budget: Budget,
): Promise<Row[]> {
  const cases = placings(PLACES, SLEEPS);
  const planted = new Tally(
    "something else in the place of a file of a daemon that runs",
    cases.length,
  );
  for (const how of drawn(cases, partOf(budget, 0.7))) {
    const { owner, obstacle, place, way: sleep } = how;
    await planted.attempt(
      `${obstacle.what} of user ${owner} as ${place}, ${sleep}`,
      () => tryPlanted(how),
    );
  }
  return [planted, ...await tryMounts(partOf(budget, 0.3))];
}

async function tryPlanted(
  { way: sleep, ...how }: Placing & { readonly way: string },
): Promise<void> {
  await using box = await Sandbox.create();
  const shared = share(box);
  const { dir } = shared;
  const pidfile = `${dir}/web.pid`;
  const { code, stderr } = await box.tend(
    ...["--detach", "--monitor", "--restart-delay=50ms", sleep],
    ...[`--pidfile=${pidfile}`, `--log-file=${dir}/web.log`],
    ...[`--output=${dir}/web.out`, "--log-rotate=1K,2", "--name=web"],
    ...["--", "sh", "-c", "seq 1 300; exec sleep 600"],
  );
  assertEquals([code, stderr], [0, ""]);
  const daemon = box.pidIn(pidfile)!;
  const monitor = parentOf(daemon);
  // Until then its logger has the files in its hands.
  await box.until(
    "all is written",
    () =>
      titleIn(box, daemon) === "sleep 600" &&
      box.read(`${dir}/web.out`)?.endsWith("\n300\n"),
  );
  await using put = await obstruct(shared, how);
  Deno.kill(daemon, "SIGSEGV");
  await box.until("it has ended", () => !isAlive(daemon));

  // What has its place is no reason to give up. Either it is passed by, or
  // replaced where a start would do that, or waited for.
  await box.until(
    "another runs, or one has failed",
    () => nextOf(box, monitor, daemon) || hasFailed(box, monitor),
  );
  // Its logger replaces what is put there later: else it would lose the rest.
  const isReplaced = how.place.startsWith("web.out") || isPassedOver(how);
  if (put.isForeign && !isReplaced) put.assertUntouched();
  const isFollowed = !put.isForeign && lstat(put.path)?.isSymlink;
  if (!isFollowed) await put.assertRestUntouched();
  if (lstat(put.path) !== undefined) {
    Deno.removeSync(put.path, { recursive: true });
  }
  await box.until("another runs", () => nextOf(box, monitor, daemon));
  const stopped = await box.run([...TIMEOUT, TEND, "stop", pidfile]);
  assertEquals(stopped.code, 0, stopped.stderr);
  await box.until("all has ended", () => box.processes().length === 0);
}

/** The daemon of a monitor that has come after another. */
function nextOf(
  box: Sandbox,
  monitor: number,
  daemon: number,
): number | undefined {
  assert(isAlive(monitor), "the monitor has ended");
  return childrenOf(monitor).find((pid) =>
    pid !== daemon && titleIn(box, pid) === "sleep 600"
  );
}

/** Whether a monitor says that a start has failed since. */
function hasFailed(box: Sandbox, monitor: number): boolean {
  return / crashes: .*exit status 1\)$/.test(titleIn(box, monitor));
}

function titleIn(box: Sandbox, pid: number): string {
  return (box.read(`/proc/${pid}/cmdline`) ?? "").replace(/\0+$/, "")
    .replaceAll("\0", " ");
}

const UNSHARE = [
  "unshare",
  ...(Deno.uid() === 0 ? [] : ["--user", "--map-root-user"]),
  "--mount",
];

/**
 * Starts a daemon on a file system of its own, $1, and has that become what $2
 * says. The daemon crashes when there is $1.crash; the file system is as before
 * when there is $1.go, and the daemon stopped when there is $1.stop. The pidfile
 * has gone before, so that it has to be made anew.
 */
const SCRIPT = `dir=$1 how=$2 tend=$3; shift 3
await() { until [ -e "$dir.$1" ]; do sleep 0.05; done; }
mount -t tmpfs -o size=64k,nr_inodes=16 tmpfs "$dir" || exit 99
"$tend" "$@" || exit
pid=$(cat "$dir/web.pid"); echo "$pid" >"$dir.pid"; mv "$dir.pid" "$dir.daemon"
case $how in
full)
  # What is open takes its room until it is closed.
  exec 3<"$dir/web.pid"; rm "$dir/web.pid"; mkdir "$dir/fill"
  while true 2>/dev/null >"$dir/fill/$((count += 1))"; do :; done
  dd if=/dev/zero of="$dir/fill/1" bs=4096 2>/dev/null;;
read-only) mount -t tmpfs -o ro tmpfs "$dir";;
esac
await crash
kill -SEGV "$pid"
await go
case $how in full) exec 3<&-; rm -r "$dir/fill";; *) umount "$dir";; esac
await stop
"$tend" stop "$dir/web.pid" && ls -A "$dir"`;

const WHY = {
  full: "No space left on device",
  "read-only": "Read-only file system",
};

async function tryMounts(budget: Budget): Promise<Row[]> {
  if (CANNOT_UNSHARE) return [leftOutRow(MOUNT_WHAT, "needs namespaces")];
  const cases = SLEEPS.flatMap((sleep) =>
    (["elsewhere", "there"] as const).flatMap((log) =>
      (["full", "read-only"] as const).map((how) => ({ how, log, sleep }))
    )
  );
  const row = new Tally(MOUNT_WHAT, cases.length);
  for (const { how, log, sleep } of drawn(cases, budget)) {
    await row.attempt(
      `${how}, the log ${log}, ${sleep}`,
      () => tryMount(how, log, sleep),
    );
  }
  return [row];
}

async function tryMount(
  how: keyof typeof WHY,
  log: "elsewhere" | "there",
  sleep: string,
): Promise<void> {
  await using box = await Sandbox.create();
  const dir = box.path("mount");
  Deno.mkdirSync(dir);
  const logFile = log === "there" ? `${dir}/web.log` : box.path("web.log");
  const script = box.start([
    ...[...UNSHARE, "sh", "-c", SCRIPT, "sh", dir, how, TEND],
    ...["--detach", "--monitor", "--restart-delay=50ms", sleep],
    ...[`--pidfile=${dir}/web.pid`, `--log-file=${logFile}`],
    ...["--", "sleep", "600"],
  ]);
  const daemon = await box.until(
    "a daemon",
    () => box.pidIn(`${dir}.daemon`) ?? false,
  );
  const monitor = parentOf(daemon);
  Deno.writeTextFileSync(`${dir}.crash`, "");
  await box.until("one has failed", () => hasFailed(box, monitor));
  if (log === "elsewhere") {
    await box.until(
      "it is said why",
      () =>
        box.read(logFile)?.includes(
          `web.pid.tmp: create failed (${WHY[how]})\n`,
        ),
    );
  }
  assertEquals(nextOf(box, monitor, daemon), undefined);
  Deno.writeTextFileSync(`${dir}.go`, "");
  await box.until("another runs", () => nextOf(box, monitor, daemon));
  Deno.writeTextFileSync(`${dir}.stop`, "");
  const { code, stdout, stderr } = await script.finished();
  assertEquals([code, stderr], [0, ""]);
  assertEquals(stdout, log === "there" ? "web.log\n" : "");
  assertEquals(box.processes(), []);
}
