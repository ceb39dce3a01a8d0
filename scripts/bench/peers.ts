/** The supervisors, each as it is started for a directory of its own. */

import type { LibraryProgram } from "./library.ts";
import type { Wanted } from "./present.ts";

/** How one of them is used. In its directory there is a program, `sleep`. */
export interface Peer extends Wanted {
  /**
   * What ends the start: the command returns, or it stays in the foreground
   * and executes what it looks after.
   */
  readonly started: "return" | "exec";
  /** Its pidfile in the directory, if it writes one that names the payload. */
  readonly pidfile?: string;
  /**
   * If it restarts what has crashed: the file in the directory that is opened
   * when it does so, which is what it executes.
   */
  readonly executes?: string;
  /** It has no payload but itself. */
  readonly isPayload?: true;
  /** It falls asleep when it is left alone, and is measured asleep. */
  readonly sleeps?: true;
  /** Puts into the directory what has to be there; may leave it to a command. */
  prepare?(directory: string): Deno.Command | void;
  args(directory: string): string[];
  /** What it needs in its environment. */
  env?(directory: string): Record<string, string>;
}

/** The names under which the targets look for them. */
export const AWAKE = "tend --monitor, awake";
export const ASLEEP = "tend --monitor, asleep";
export const BEFORE = "tend --monitor, before";
export const EMPTY = "an empty compiled program";
export const RIVALS = ["runsv", "daemontools supervise"] as const;

/** What is made by the benchmark, or given to it. */
export interface Programs {
  readonly tend: string;
  /** An older tend, to be compared with. */
  readonly before: string | undefined;
  /** A program that does nothing. */
  readonly empty: string;
  /** Programs that become daemons themselves. */
  readonly library: readonly LibraryProgram[];
}

/** All of them. */
export function peers({ tend, before, empty, library }: Programs): Peer[] {
  return [
    {
      name: EMPTY,
      needs: [empty],
      from: "made by the benchmark",
      started: "return",
      args: () => [],
    },
    tendPeer(AWAKE, tend, "--sleep-after=never"),
    { ...tendPeer(ASLEEP, tend), sleeps: true },
    ...(before === undefined ? [] : [tendPeer(BEFORE, before)]),
    ...library.map(libraryPeer),
    {
      name: "ovsdb-server --monitor",
      needs: ["ovsdb-server", "ovsdb-tool"],
      from: "Debian's openvswitch-switch",
      started: "return",
      pidfile: "pid",
      isPayload: true,
      // It executes nothing: it forks, and the child begins with its pidfile.
      executes: "pid.tmp",
      prepare: (dir) => {
        Deno.writeTextFileSync(`${dir}/schema`, '{"name":"B","tables":{}}');
        return new Deno.Command("ovsdb-tool", {
          args: ["create", `${dir}/db`, `${dir}/schema`],
        });
      },
      args: (dir) =>
        ["--detach", "--monitor", `--pidfile=${dir}/pid`]
          .concat(`--unixctl=${dir}/ctl`, `${dir}/db`),
    },
    {
      name: "daemonize",
      needs: ["daemonize"],
      from: "Debian's daemonize",
      started: "return",
      pidfile: "pid",
      args: (dir) => ["-p", `${dir}/pid`, ...payload(dir)],
    },
    {
      name: "start-stop-daemon",
      needs: ["start-stop-daemon"],
      from: "Debian's dpkg",
      started: "return",
      pidfile: "pid",
      args: (dir) =>
        ["--start", "--background", "--make-pidfile"]
          .concat(
            `--pidfile=${dir}/pid`,
            "--exec",
            `${dir}/sleep`,
            "--",
            "600",
          ),
    },
    {
      name: "daemon --respawn",
      needs: ["daemon"],
      from: "Debian's daemon",
      started: "return",
      pidfile: "pid",
      executes: "sleep",
      // "Unsafe" is any program below /tmp, which all may write to.
      args: (dir) =>
        ["--unsafe", "--respawn", `--pidfile=${dir}/pid`, "--"]
          .concat(payload(dir)),
    },
    serviceDirectory("runsv", "runsv", "runit"),
    serviceDirectory("s6-supervise", "s6-supervise", "s6"),
    serviceDirectory("daemontools supervise", "supervise", "daemontools"),
    {
      name: "supervisord",
      needs: ["supervisord"],
      from: "Debian's supervisor",
      started: "return",
      executes: "sleep",
      prepare: (dir) =>
        Deno.writeTextFileSync(
          `${dir}/conf`,
          `[supervisord]
logfile=${dir}/log
pidfile=${dir}/supervisord.pid
childlogdir=${dir}
[program:sleep]
command=${payload(dir).join(" ")}
`,
        ),
      args: (dir) => ["-c", `${dir}/conf`],
    },
    {
      name: "pm2",
      needs: ["pm2"],
      from: "npm's pm2",
      started: "return",
      executes: "sleep",
      args: (
        dir,
      ) => ["start", `${dir}/sleep`, "--interpreter=none", "--", "600"],
      env: (dir) => ({ PM2_HOME: `${dir}/pm2` }),
    },
  ];
}

function tendPeer(name: string, tend: string, ...options: string[]): Peer {
  return {
    name,
    needs: [tend],
    from: "deno task build",
    started: "return",
    pidfile: "pid",
    executes: "sleep",
    args: (dir) => [
      "--detach",
      "--monitor",
      `--pidfile=${dir}/pid`,
      ...options,
      "--",
      ...payload(dir),
    ],
  };
}

function libraryPeer(
  { name, argv: [program = "", ...args] }: LibraryProgram,
): Peer {
  return {
    name,
    needs: [program],
    from: "made by the benchmark",
    started: "return",
    pidfile: "pid",
    isPayload: true,
    sleeps: true,
    // As ovsdb-server: it forks, or starts again, and makes its pidfile.
    executes: "pid.tmp",
    args: (dir) => [...args, "--detach", "--monitor", `--pidfile=${dir}/pid`],
  };
}

/** Those that look after a directory, and execute `run` there. */
function serviceDirectory(name: string, program: string, from: string): Peer {
  return {
    name,
    needs: [program],
    from: `Debian's ${from}`,
    started: "exec",
    // Not what the script goes on to execute: its shell is not theirs to pay.
    executes: "run",
    prepare: (dir) =>
      Deno.writeTextFileSync(
        `${dir}/run`,
        `#!/bin/sh\nexec ${payload(dir).join(" ")}\n`,
        { mode: 0o755 },
      ),
    args: (dir) => [dir],
  };
}

/** The program that is looked after in a directory, and its arguments. */
export function payload(directory: string): string[] {
  return [`${directory}/sleep`, "600"];
}
