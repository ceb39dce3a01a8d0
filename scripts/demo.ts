/**
 * Shows what tend does, on a small web server: starts it as a daemon, kills
 * it, shows it come back, stops it.
 *
 * `deno task demo`
 */
import { Failure, runScript } from "./failure.ts";
import { processTree } from "./process_tree.ts";

const TEND = new URL("../dist/tend", import.meta.url).pathname;
const SERVER = new URL("./demo_server.mjs", import.meta.url).pathname;
const PATIENCE_MS = 30_000;

async function demo(dir: string): Promise<void> {
  const pidfile = `${dir}/web.pid`;
  const portFile = `${dir}/port`;
  const log = `${dir}/web.log`;

  say("1. Start a web server as a daemon, under a monitor.");
  const start = performance.now();
  await tend(
    dir,
    "--detach",
    "--monitor",
    "--pidfile",
    "--log-file",
    "--name=web",
    "--",
    "node",
    SERVER,
    portFile,
  );
  const first = pidIn(pidfile);
  const monitor = parentOf(first);
  console.log(
    `The prompt is back after ${(performance.now() - start).toFixed(0)} ms, ` +
      `and ${pidfile} says ${first}.`,
  );
  try {
    console.log(`The server answers: ${await ask(portFile)}`);

    say("2. What runs now.");
    console.log(processTree(monitor));

    say("3. Kill it the hard way: a segmentation fault.");
    await Deno.remove(portFile);
    shell(`kill -SEGV ${first}`);
    Deno.kill(first, "SIGSEGV");
    const second = await until("the server is back", () => {
      // For a moment there is none: the stale one goes, then the new one comes.
      const [pid] = pidsIn(pidfile);
      return pid !== first && pid;
    });
    console.log(`${pidfile} says ${second} now.`);
    console.log(`The server answers: ${await ask(portFile)}`);
    console.log(processTree(monitor));

    say("4. Stop it: the monitor passes the signal on, and all ends.");
    shell(`kill ${monitor}`);
    Deno.kill(monitor, "SIGTERM");
    await until("the daemon has ended", () => !isAlive(second));
    await until("the monitor has ended", () => !isAlive(monitor));
    await Deno.remove(portFile);
    console.log(`Left in ${dir}: ${names(dir).join(", ")}.`);

    say("5. What the monitor has logged.");
    console.log(Deno.readTextFileSync(log).trimEnd());
  } finally {
    for (const pid of [monitor, ...pidsIn(pidfile)]) end(pid);
  }
}

function say(text: string): void {
  console.log(`\n${text}`);
}

function shell(line: string): void {
  console.log(`$ ${line}`);
}

async function tend(dir: string, ...args: string[]): Promise<void> {
  shell(`export TEND_RUNDIR=${dir} TEND_LOGDIR=${dir}`);
  shell(
    ["tend", ...args].join(" ").replace(SERVER, "scripts/demo_server.mjs"),
  );
  const { code } = await new Deno.Command(TEND, {
    args,
    env: { TEND_RUNDIR: dir, TEND_LOGDIR: dir },
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
  }).spawn().status;
  if (code !== 0) throw new Failure(`tend ended with status ${code}.`);
}

async function ask(portFile: string): Promise<string> {
  const port = await until("the server listens", () => {
    try {
      return Deno.readTextFileSync(portFile) || undefined;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  });
  return await (await fetch(`http://127.0.0.1:${port}/`)).text();
}

async function until<T>(
  what: string,
  question: () => T | undefined | false,
): Promise<T> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const answer = question();
    if (answer !== undefined && answer !== false) return answer;
    if (Date.now() > deadline) {
      throw new Failure(`It never came true that ${what}.`);
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function pidIn(pidfile: string): number {
  return Number(Deno.readTextFileSync(pidfile));
}

function pidsIn(pidfile: string): number[] {
  try {
    return [pidIn(pidfile)];
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

function parentOf(pid: number): number {
  const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
}

function isAlive(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(Deno.readTextFileSync(`/proc/${pid}/stat`));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function end(pid: number): void {
  if (isAlive(pid)) Deno.kill(pid, "SIGKILL");
}

function names(dir: string): string[] {
  return [...Deno.readDirSync(dir)].map(({ name }) => name);
}

if (import.meta.main) {
  await runScript("demo", async () => {
    const dir = await Deno.makeTempDir({ prefix: "tend-demo-" });
    try {
      await demo(dir);
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  });
}
