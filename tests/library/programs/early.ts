/** Works before it becomes a daemon, and says who has seen a stage then. */
import { spawnSync } from "node:child_process";
import process from "node:process";
import { daemonize, parseDaemonOptions } from "@tend/daemon";

const { options, rest: [report] } = parseDaemonOptions(Deno.args);
/** A shell drops what is no variable; the kernel shows what it has begun with. */
const SHOW = ["-c", "cat /proc/$$/environ"];

function commands(env: Record<string, string>): string[] {
  const started = [{}, { env: { A: "1" } }, { env, clearEnv: true }]
    .map((how) => new Deno.Command("sh", { args: SHOW, ...how }).outputSync());
  const byNode = [{}, { env }, { env: process.env }]
    .map((how) => spawnSync("sh", SHOW, how));
  return [...started, ...byNode]
    .map(({ stdout }) => new TextDecoder().decode(stdout));
}

const copy = Deno.env.toObject();
const early = [JSON.stringify(copy), ...commands(copy)];
daemonize(options);
const late = commands(copy);
const seen = [...early, ...late].map((text) => text.includes("TEND_STAGE"));
const whole = early[0]!.includes("TEND_TEST_SANDBOX") &&
  [...early, ...late].every((text) => text !== "");
Deno.writeTextFileSync(`${report}.new`, JSON.stringify({ seen, whole }));
Deno.renameSync(`${report}.new`, report!);
setInterval(() => {}, 1000);
