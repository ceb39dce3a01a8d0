/** A program that makes itself a daemon, and then waits. */
import {
  daemonizeComplete,
  daemonizeStart,
  parseDaemonOptions,
} from "../../lib/mod.ts";

// For who traces this: what comes before is the runtime's.
try {
  Deno.statSync("/no/such/file/but/it/begins");
} catch (error) {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
daemonizeStart(parseDaemonOptions(Deno.args).options);
setInterval(() => {}, 1e6);
daemonizeComplete();
