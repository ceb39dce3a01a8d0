/**
 * The messages of `tend` go through LogTape: vlog's modules are its categories,
 * vlog's destinations its sinks.
 *
 * For the program alone. LogTape has one configuration for a whole process, and
 * in a Deno program that uses the library it is that program's.
 *
 * @module
 */
import {
  configureSync,
  getConfig,
  getLogger,
  type LogLevel,
  withFilter,
} from "@logtape/logtape";
import { setEmitter, type VlogRecord } from "../vlog.ts";
import { type Destination, DESTINATIONS } from "../vlog_levels.ts";
import { SINKS } from "../vlog_sinks.ts";

const ROOT = "tend";

/** What vlog's levels are in LogTape. */
const LEVELS = {
  emer: "fatal",
  err: "error",
  warn: "warning",
  info: "info",
  dbg: "debug",
} as const satisfies Record<VlogRecord["level"], LogLevel>;

/** Has vlog's messages go through LogTape. */
export function useLogtape(): void {
  setEmitter((record) => {
    // With the first message: most starts have none.
    if (getConfig() === null) configure();
    getLogger([ROOT, record.module])[LEVELS[record.level]]("{text}", {
      ...record,
    });
  });
}

function configure(): void {
  const sink = (destination: Destination) =>
    withFilter(
      ({ properties }) =>
        SINKS[destination](properties as unknown as VlogRecord),
      ({ properties }) => (properties as unknown as VlogRecord).destinations
        .includes(destination),
    );
  configureSync({
    sinks: {
      console: sink("console"),
      file: sink("file"),
      syslog: sink("syslog"),
    },
    loggers: [
      { category: ROOT, sinks: [...DESTINATIONS], lowestLevel: "debug" },
      { category: ["logtape", "meta"], sinks: [], lowestLevel: "fatal" },
    ],
  });
}
