/** The supervisors, each as it is started for a directory of its own. */

/** How one of them is used. In its directory there is a program, `sleep`. */
export interface Peer {
  readonly name: string;
  /** The programs that it needs, the one to be started first. */
  readonly needs: readonly string[];
  /** Where they come from. */
  readonly from: string;
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
  /** Puts into the directory what has to be there; may leave it to a command. */
  prepare?(directory: string): Deno.Command | void;
  args(directory: string): string[];
  /** What it needs in its environment. */
  env?(directory: string): Record<string, string>;
}

/** The names under which the targets look for them. */
export const TEND = "tend --monitor";
export const EMPTY = "an empty compiled program";
export const RIVALS = ["runsv", "daemontools supervise"] as const;

/** All of them; `tend` and `empty` are paths of programs. */
export function peers(tend: string, empty: string): Peer[] {
  return [
    {
      name: EMPTY,
      needs: [empty],
      from: "made by the benchmark",
      started: "return",
      args: () => [],
    },
    {
      name: TEND,
      needs: [tend],
      from: "deno task build",
      started: "return",
      pidfile: "pid",
      executes: "sleep",
      args: (dir) =>
        ["--detach", "--monitor", `--pidfile=${dir}/pid`, "--"]
          .concat(payload(dir)),
    },
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

function payload(directory: string): string[] {
  return [`${directory}/sleep`, "600"];
}
