/** A program that makes itself a daemon, and then waits. */
import {
  daemonizeComplete,
  daemonizeStart,
  parseDaemonOptions,
} from "../../lib/mod.ts";

daemonizeStart(parseDaemonOptions(Deno.args).options);
setInterval(() => {}, 1e6);
daemonizeComplete();
