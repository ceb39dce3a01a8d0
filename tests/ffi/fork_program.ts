/**
 * What `fork_test.ts` compiles and runs: forks, and tries in the child what its
 * argument names. The parent waits for the child by libc alone, and ends with
 * its exit status.
 *
 * @module
 */
import { hasEnded, hasExeced, waitpid } from "../../ffi/child.ts";
import { fork } from "../../ffi/fork.ts";
import {
  exitNow,
  getpid,
  getppid,
  kill,
  threadCount,
} from "../../ffi/process.ts";
import { Signal } from "../../ffi/signal.ts";
import { exitStatusOf } from "../../ffi/wait_status.ts";
import { processStatusMsg } from "../../lib/process_status.ts";

declare const gc: () => void;

/** What the child tries; it says what came of it. */
const TRIALS: Record<string, () => unknown> = {
  threads: threadCount,
  hasExeced: () => {
    const forked = fork();
    if (forked.role === "child") {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
      exitNow(1);
    }
    const { pid } = forked;
    const seen = [hasExeced(pid), hasEnded(pid)];
    kill(pid, Signal.SIGKILL);
    while (!hasEnded(pid));
    seen.push(hasExeced(pid));
    waitpid(pid);
    return seen;
  },
  javascript: () => new Function("n", "return n * 2")(21),
  pids: () => [
    // Read before the fork, too; see below.
    Deno.pid === parent,
    getpid() !== parent,
    getppid() === parent,
  ],
  memory: () => {
    let sum = 0;
    for (let i = 0; i < 50; i++) {
      const rubbish = Array.from({ length: 20_000 }, (_, i) => ({ i }));
      sum += rubbish.length + new Uint8Array(1e6).length;
      if (i % 10 === 0) gc();
    }
    return [sum, keepsake.length, keepsake.every(({ i }, at) => i === at)];
  },
  compiledCode: () => {
    // Often enough for each of V8's compilers.
    const add = (a: number, b: number) => a + b;
    let sum = 0;
    for (let i = 0; i < 5e6; i++) sum = add(sum, 1);
    return sum;
  },
  timers: () => new Promise((resolve) => setTimeout(resolve, 5, "rang")),
  file: async () => {
    const path = await Deno.makeTempFile();
    await Deno.writeTextFile(path, "text");
    const text = await Deno.readTextFile(path);
    await Deno.remove(path);
    return text;
  },
  server: async () => {
    const { promise: port, resolve } = Promise.withResolvers<number>();
    const server = Deno.serve({
      port: 0,
      hostname: "127.0.0.1",
      onListen: (address) => resolve(address.port),
    }, () => new Response("served"));
    const response = await fetch(`http://127.0.0.1:${await port}/`);
    const text = await response.text();
    await server.shutdown();
    return text;
  },
  command: async () => {
    const { code, stdout } = await new Deno.Command("sh", {
      args: ["-c", "echo run; exit 3"],
    }).output();
    return [code, new TextDecoder().decode(stdout)];
  },
  signal: () =>
    new Promise((resolve) => {
      Deno.addSignalListener("SIGUSR1", () => resolve("heard"));
      Deno.kill(getpid(), "SIGUSR1");
    }),
  worker: async () => {
    const source = "onmessage = ({ data }) => postMessage(data + 1);";
    // A blob's URL does not work in what Deno 2.4.2 compiles, forked or not.
    const url = `data:text/javascript,${encodeURIComponent(source)}`;
    const worker = new Worker(url, { type: "module" });
    const answer = await new Promise((resolve) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.postMessage(41);
    });
    worker.terminate();
    return answer;
  },
  fork: () => {
    const forked = fork();
    if (forked.role === "child") exitNow(5);
    return waitpid(forked.pid);
  },
};

const parent = Deno.pid;
const keepsake = Array.from({ length: 10_000 }, (_, i) => ({ i }));

/** Forks again and again, with rubbish for the collector in between. */
function forkOften(times: number): void {
  for (let i = 0; i < times; i++) {
    const rubbish = Array.from({ length: 5000 }, () => ({ i }));
    const forked = fork();
    if (forked.role === "child") {
      const more = Array.from({ length: 5000 }, () => ({ i }));
      if (i % 10 === 0) gc();
      exitNow(more.length === rubbish.length ? 0 : 1);
    }
    const status = waitpid(forked.pid);
    if (exitStatusOf(status) !== 0) {
      console.log(`child ${i}: ${processStatusMsg(status)}`);
      exitNow(1);
    }
  }
  console.log(JSON.stringify(times));
}

/** The child says what it found, when it has ended the parent ends so too. */
async function forkAndTry(trial: () => unknown): Promise<void> {
  const forked = fork();
  if (forked.role === "parent") exitNow(exitStatusOf(waitpid(forked.pid)));
  console.log(JSON.stringify(await trial()));
  exitNow(0);
}

/** A child in which nothing is done to V8's memory: a plain `fork()`. */
function forkPlainly(): void {
  const { fork } = Deno.dlopen("libc.so.6", {
    fork: { parameters: [], result: "i32" },
  }).symbols;
  const pid = fork();
  if (pid === 0) exitNow(0);
  console.log(JSON.stringify(waitpid(pid)));
}

const [name = ""] = Deno.args;
if (name === "often") forkOften(1000);
else if (name === "plainly") forkPlainly();
else await forkAndTry(TRIALS[name]!);
