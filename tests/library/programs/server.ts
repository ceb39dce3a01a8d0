/** A daemon as its users write them; what it is told to do is in its words. */
import {
  addExitHook,
  addFileToUnlink,
  daemonizeComplete,
  daemonizeStart,
  makePidfileName,
  parseDaemonOptions,
  readPidfile,
} from "@tend/daemon";

const { options, rest } = parseDaemonOptions(Deno.args);
if (rest.includes("check") && runsAlready()) {
  console.error("server: it runs already");
  Deno.exit(9);
}
if (rest.includes("helper")) {
  new Deno.Command("sh", { args: ["-c", "sleep 600"], stdin: "null" }).spawn();
}
const uuids = rest.find((word) => word.startsWith("uuids="))?.slice(6);
if (uuids !== undefined) crypto.randomUUID();
const lock = rest.find((word) => word.startsWith("lock="))?.slice(5);
if (lock !== undefined) {
  Deno.writeTextFileSync(lock, "", { createNew: true });
  addFileToUnlink(lock);
}
daemonizeStart(options);
if (uuids !== undefined) {
  Deno.writeTextFileSync(uuids, `${crypto.randomUUID()}\n`, { append: true });
}
if (lock !== undefined) {
  Deno.addSignalListener("SIGUSR1", () => {
    throw new Error("a crash");
  });
}
if (rest.includes("throw-early")) throw new Error("no start");
if (rest.includes("exit-early")) {
  console.error("server: cannot start");
  Deno.exit(7);
}
setInterval(() => {}, 1000);
if (rest.includes("slow")) await new Promise((r) => setTimeout(r, 600_000));
daemonizeComplete();

if (rest.includes("exit-in-hook")) {
  const file = rest.find((word) => word.startsWith("file="))!.slice(5);
  Deno.writeTextFileSync(file, "");
  addFileToUnlink(file);
  addExitHook(() => Deno.exit(33));
  Deno.exit(3);
}

if (rest.includes("throw")) throw new Error("uncaught");
if (rest.includes("reject")) Promise.reject(new Error("rejected"));
if (rest.includes("exit")) Deno.exit(3);

function runsAlready(): boolean {
  const pidfile = makePidfileName("web.pid");
  try {
    Deno.statSync(pidfile);
  } catch {
    return false;
  }
  return readPidfile(pidfile) > 0;
}
