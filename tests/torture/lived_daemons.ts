/**
 * The daemons that live a life, and how each of them is started.
 *
 * @module
 */
import { type Sandbox, TEND } from "../sandbox.ts";
import type { Life, Plan } from "./life.ts";
import { titleIfAlive } from "./picture.ts";
import { linesLost, troubleUntold, WRITES } from "./written.ts";

/** The log of all that live here. */
export const LOG = "./web.log";
/** Told apart from what other tests run by what the sandbox marks. */
const COMMAND = ["/bin/sleep", "1000000"] as const;
/** A command's child: it reads until nobody can write any more. */
export const READER = "/bin/cat";
/** What `ps` shows of it. */
export const TITLE: string = COMMAND.join(" ");

/** Something that runs as a daemon. */
export interface Subject {
  /** The program that starts it. */
  readonly program: string;
  /** The last of its options, and what stands behind them. */
  readonly command: readonly string[];
  /** Those of a sandbox's processes that are such a daemon. */
  readonly daemons: (box: Sandbox, pids: readonly number[]) => number[];
  /** What does not hold when all is over, besides what all promise. */
  readonly check?: (
    box: Sandbox,
    plan: Plan | undefined,
    life: Life,
  ) => string[];
}

/** A command, by `tend`. */
export const COMMANDED: Subject = {
  program: TEND,
  command: ["--", ...COMMAND],
  daemons: (_, pids) => pids.filter((pid) => titleIfAlive(pid) === TITLE),
};

/** A command whose output goes to a file, by a logger. */
export const LOGGED: Subject = {
  ...COMMANDED,
  command: ["--output=out.log", "--log-timestamps", ...COMMANDED.command],
};

/** One that says when it is ready, through a pipe of the monitor's. */
export const READY: Subject = {
  ...COMMANDED,
  command: ["--output=out.log", "--ready=fd=3", "--", "/bin/sh", "-c"]
    .concat(`echo >&3; exec 3>&-; exec ${TITLE}`),
};

/** One that makes a file when it is ready, for which a directory is watched. */
export const FILED: Subject = {
  ...COMMANDED,
  command: ["--output=out.log", "--no-chdir", "--ready=file=ready", "--"]
    .concat("/bin/sh", "-c", `touch ready; exec ${TITLE}`),
};

/**
 * One that needs the calls of many options, and has a child that ends when it
 * does. Of its user there is nothing to be changed unless by root.
 */
export const OPTIONED: Subject = {
  ...COMMANDED,
  command: [
    ...Deno.uid() === 0 ? ["--user=nobody"] : [],
    ...["--limit=nofile=100", "--nice=3", "--umask=027"],
    ...["--output=out.log", "--ready=notify", "--watchdog=1h"],
    ...["--kill-mode=tree", "--on-crash=exit 0", "--", "/bin/bash", "-c"],
    `exec 4> >(exec ${READER}); systemd-notify --ready --pid=$$; exec ${TITLE}`,
  ],
};

/** One whose logger rotates all the while: nothing of its lines may be lost. */
export const WRITING: Subject = {
  ...COMMANDED,
  command: ["--output=out.log", "--log-rotate=1k,99", "--", "/bin/sh", "-c"]
    .concat(`${WRITES}; exec ${TITLE}`),
  check: (box, plan, life) => [
    ...linesLost(box),
    ...troubleUntold(box, plan, life),
  ],
};

/** A program that makes itself a daemon: its processes have one title. */
export function itself(program: string): Subject {
  return {
    program,
    command: [],
    daemons: (box) =>
      [box.holder("web.pid")].filter((pid) => pid !== undefined),
  };
}

/** Whether the monitor may sleep between events. */
export type Sleep = "asleep" | "awake";

/** How a subject is started. */
export function startArgs(
  { program, command }: Subject,
  sleep: Sleep,
): string[] {
  const after = sleep === "asleep" ? "20ms" : "never";
  return [program, "--detach", "--monitor", "--pidfile=web.pid"]
    .concat("--restart-delay=50ms", `--sleep-after=${after}`)
    // What a monitor has to say it says there.
    .concat(`--log-file=${LOG}`, command);
}
