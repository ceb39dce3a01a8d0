/**
 * `tend list`: names the daemons of the run directory.
 *
 * @module
 */
import { lookAt } from "../daemon_look.ts";
import { viewOf } from "../daemon_state.ts";
import { oneLine } from "../vlog.ts";
import { print } from "./print.ts";
import { allTargets, TARGET_OPTIONS } from "./target.ts";
import { NO_OPERANDS, type Verb } from "./verb.ts";

/** `tend list`. */
export const listVerb: Verb<typeof TARGET_OPTIONS[number]["name"]> = {
  name: "list",
  summary: "list all daemons that have a pidfile in RUNDIR",
  description:
    `Prints the names of all daemons of RUNDIR, running or not, one a line.

With --json an array is printed, of an object for each: name, pidfile, state,
pid, monitor.`,
  groups: [{ title: "Options", options: TARGET_OPTIONS }],
  operands: NO_OPERANDS,
  statuses: [],
  examples: [
    ["tend list", "prints the names"],
    ["tend list --json", "prints what they are, too"],
  ],
  run: ({ given }) => {
    const targets = allTargets();
    if (!given.some(({ name }) => name === "json")) {
      print(targets.map(({ name }) => `${oneLine(name)}\n`).join(""));
      return 0;
    }
    const objects = targets.map(({ name, pidfile }) => {
      const { state, pid, monitor } = viewOf(lookAt(pidfile));
      return {
        name,
        pidfile,
        state,
        pid: pid ?? null,
        monitor: monitor ?? null,
      };
    });
    print(`${JSON.stringify(objects, null, 2)}\n`);
    return 0;
  },
};
