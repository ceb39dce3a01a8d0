/**
 * Processes that get the pids of others that are about to be signalled.
 *
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { childrenOf, isAlive, look } from "../proc.ts";
import { type Running, type Sandbox, TEND } from "../sandbox.ts";

/** It writes down every signal that comes; SIGKILL and SIGSTOP show otherwise. */
const BYSTANDER = `
for signal in $(seq 1 64); do
  case $signal in 9|17|19|32|33) continue;; esac
  trap "echo $signal >>'$1'" $signal
done
: >"$1.ready"
while :; do sleep 600 & wait $!; done`;

/** A process that has nothing to do with any of it. */
export class Bystander {
  readonly pid: number;
  readonly #box: Sandbox;
  readonly #file: string;

  private constructor(box: Sandbox, { pid }: Running, file: string) {
    this.pid = pid;
    this.#box = box;
    this.#file = file;
  }

  /** Starts one as this very pid, which has to be free. */
  static async withPid(box: Sandbox, pid: number): Promise<Bystander> {
    await box.until(`pid ${pid} is free`, () => !isThere(`/proc/${pid}`));
    const file = box.path(`bystander${pid}`);
    // Threads take pids too, so the next one may be lost to one of those.
    const running = await box.until(`pid ${pid} is another's`, () => {
      Deno.writeTextFileSync("/proc/sys/kernel/ns_last_pid", `${pid - 1}`);
      const running = box.start([
        // It leads a group: a signal to that of its number is one to it.
        ...["setsid", "bash", "-c", BYSTANDER, "bash", file],
      ]);
      if (running.pid === pid) return running;
      Deno.kill(running.pid, "SIGKILL");
      return false;
    });
    const bystander = new Bystander(box, running, file);
    await box.until("it is ready", () => box.exists(`${file}.ready`));
    return bystander;
  }

  /** Asserts that nobody has sent it anything. */
  assertUnharmed(): void {
    assertEquals(this.#box.read(this.#file), undefined, "it got signals");
    assertEquals(look(this.pid)?.state, "S", "it does not run any more");
  }

  /** Ends it. */
  async end(): Promise<void> {
    Deno.kill(this.pid, "SIGKILL");
    await this.#box.until("it has gone", () => !isThere(`/proc/${this.pid}`));
  }
}

/** Whether a file is there. */
export function isThere(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** The calls that send a signal: one that is held back gets no further. */
const SENDING: Readonly<Record<string, number>> = {
  pidfd_send_signal: 424,
  rt_sigqueueinfo: Deno.build.arch === "aarch64" ? 138 : 129,
  kill: Deno.build.arch === "aarch64" ? 129 : 62,
};

/** What is held back: where one sends, and what. */
interface Moment {
  /** The signal. */
  readonly signal: number;
  /** By which of its calls a proved process is sent that. */
  readonly nth: number;
}

const FIRST: Moment = { signal: 0, nth: 1 };

/** Words that have strace hold back a process that is about to send. */
function holding({ nth }: Moment): string[] {
  const calls = Object.keys(SENDING);
  return [
    ...["strace", "-qq", "-o", "/dev/null", "-e", `trace=${calls.join()}`],
    // Each is counted by itself. What is sent by a number, and not by the first
    // of them, is held back at once.
    ...calls.flatMap((call, i) => [
      "-e",
      `inject=${call}:delay_enter=60s${i === 0 ? `:when=${nth}` : ""}`,
    ]),
  ];
}

/** Whether one is held before that; 0 is any signal. */
function isHeldAt(box: Sandbox, pid: number, { signal }: Moment): boolean {
  const [call, , second] = box.read(`/proc/${pid}/syscall`)?.split(" ") ?? [];
  return Object.values(SENDING).includes(Number(call)) &&
    (signal === 0 || Number(second) === signal);
}

/**
 * Runs a verb, and has those end whom it is about to signal: when it does, their
 * pids are another's.
 *
 * @param box Where.
 * @param pids They, those that would start others first.
 * @param verb The verb and its arguments.
 * @param moment Which signal that is; the first one without it.
 */
export async function recycledUnder(
  box: Sandbox,
  pids: readonly number[],
  verb: readonly string[],
  moment: Moment = FIRST,
): Promise<void> {
  const strace = box.start([...holding(moment), TEND, ...verb]);
  const sender = await box.until(
    "it is about to send",
    () =>
      childrenOf(strace.pid).find((pid) =>
        // First this: before strace's child is the verb, it stops itself by a
        // signal too.
        look(pid)?.status.get("Name") === "tend" && isHeldAt(box, pid, moment)
      ),
  );
  const bystanders = await replace(box, sender, pids);
  // Without its tracer it goes on.
  Deno.kill(strace.pid, "SIGKILL");
  await box.until("the verb has ended", () => !isAlive(sender));
  assertEquals(/^ +at /m.test(strace.stderr()), false, strace.stderr());
  bystanders.forEach((bystander) => bystander.assertUnharmed());
}

/**
 * Holds back a monitor that is about to send.
 *
 * @param box Where.
 * @param monitor The monitor.
 * @param cause Has it send.
 * @returns Lets it go on.
 */
export async function holdMonitor(
  box: Sandbox,
  monitor: number,
  cause: () => void,
): Promise<() => void> {
  const strace = box.start([...holding(FIRST), "-p", `${monitor}`]);
  await box.until(
    "it is traced",
    () => look(monitor)?.status.get("TracerPid") === `${strace.pid}`,
  );
  cause();
  await box.until(
    "it is about to send",
    () => isHeldAt(box, monitor, FIRST),
  );
  return () => Deno.kill(strace.pid, "SIGKILL");
}

/**
 * Kills processes while another is held back, and has others get their pids.
 *
 * @param box Where.
 * @param sender Who is held back.
 * @param pids They.
 */
export async function replace(
  box: Sandbox,
  sender: number,
  pids: readonly number[],
): Promise<Bystander[]> {
  pids.forEach((pid) => Deno.kill(pid, "SIGKILL"));
  const bystanders: Bystander[] = [];
  for (const pid of pids) bystanders.push(await Bystander.withPid(box, pid));
  assertEquals(look(sender)?.state, "t", "it has sent already");
  return bystanders;
}
