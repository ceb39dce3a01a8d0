import { payload } from "./peers.ts";
import type { Wanted } from "./present.ts";

/** How a supervisor is used for many daemons, in a directory of its own. */
export interface Fleet extends Wanted {
  /** Puts into the directory what has to be there. */
  prepare?(directory: string, count: number): void;
  /** What is run, one after the other. */
  commands(directory: string, count: number): string[][];
  /** The last command stays in the foreground. */
  readonly stays?: true;
  /** What is measured are monitors that sleep. */
  readonly sleeps?: true;
  /** What it needs in its environment. */
  env?(directory: string): Record<string, string>;
}

/** The name under which the targets look for it. */
export const TEND_FLEET = "tend, asleep";

/** All of them, in the order of the table; `tend` is the path of a program. */
export function fleets(tend: string): Fleet[] {
  return [
    {
      name: TEND_FLEET,
      needs: [tend],
      from: "deno task build",
      sleeps: true,
      prepare: (dir) => Deno.mkdirSync(`${dir}/pids`),
      commands: (dir, count) =>
        numbers(count).map((i) =>
          [tend, "--detach", "--monitor", `--pidfile=${dir}/pids/${i}`, "--"]
            .concat(payload(dir))
        ),
    },
    {
      name: "runit",
      needs: ["runsvdir", "runsv"],
      from: "Debian's runit",
      stays: true,
      prepare: makeServices,
      commands: (dir) => [["runsvdir", `${dir}/services`]],
    },
    {
      name: "s6",
      needs: ["s6-svscan", "s6-supervise"],
      from: "Debian's s6",
      stays: true,
      prepare: makeServices,
      // Left to itself it takes up to 500.
      commands: (dir, count) => [
        ["s6-svscan", "-c", `${Math.max(500, 2 * count)}`, `${dir}/services`],
      ],
    },
    {
      name: "supervisord",
      needs: ["supervisord"],
      from: "Debian's supervisor",
      prepare: (dir, count) => {
        const programs = numbers(count).map((i) =>
          `[program:d${i}]\ncommand=${payload(dir).join(" ")}\n`
        );
        // It holds two pipes for each.
        Deno.writeTextFileSync(
          `${dir}/conf`,
          `[supervisord]
logfile=${dir}/log
pidfile=${dir}/supervisord.pid
childlogdir=${dir}
minfds=${1024 + 4 * count}
${programs.join("")}`,
        );
      },
      commands: (dir) => [["supervisord", "-c", `${dir}/conf`]],
    },
    {
      name: "pm2",
      needs: ["pm2"],
      from: "npm's pm2",
      prepare: (dir, count) => {
        const [script, args] = payload(dir);
        const apps = numbers(count)
          .map((i) => ({ name: `d${i}`, script, args, interpreter: "none" }));
        Deno.writeTextFileSync(`${dir}/apps.json`, JSON.stringify({ apps }));
      },
      commands: (dir) => [["pm2", "start", `${dir}/apps.json`]],
      env: (dir) => ({ PM2_HOME: `${dir}/pm2` }),
    },
  ];
}

/** A directory of services, as runit's and s6's scanners have it. */
function makeServices(directory: string, count: number): void {
  for (const i of numbers(count)) {
    const service = `${directory}/services/${i}`;
    Deno.mkdirSync(service, { recursive: true });
    Deno.writeTextFileSync(
      `${service}/run`,
      `#!/bin/sh\nexec ${payload(directory).join(" ")}\n`,
      { mode: 0o755 },
    );
  }
}

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
