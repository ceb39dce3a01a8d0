/** Does everything asynchronous that a daemon may want, then says so. */
import {
  daemonizeComplete,
  daemonizeStart,
  parseDaemonOptions,
} from "@tend/daemon";

const { options, rest: [report] } = parseDaemonOptions(Deno.args);
daemonizeStart(options);

const done: string[] = [];

async function step(name: string, work: () => Promise<void>): Promise<void> {
  await work();
  done.push(name);
}

await step("timer", () => new Promise((resolve) => setTimeout(resolve, 1)));
await step("file", async () => {
  await Deno.writeTextFile(`${report}.file`, "text");
  if (await Deno.readTextFile(`${report}.file`) !== "text") throw new Error();
});
await step("serve and fetch", async () => {
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    () => new Response("hello"),
  );
  const response = await fetch(`http://127.0.0.1:${server.addr.port}/`);
  if (await response.text() !== "hello") throw new Error();
  await server.shutdown();
});
await step("socket", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const [there, here] = await Promise.all([
    Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port }),
    listener.accept(),
  ]);
  await there.write(new Uint8Array(3));
  if (await here.read(new Uint8Array(9)) !== 3) throw new Error();
  for (const resource of [there, here, listener]) resource.close();
});
await step("command", async () => {
  const command = new Deno.Command("true", { env: { CHECKED: "1" } });
  if (!(await command.output()).success) throw new Error();
});
await step("signal listener", () =>
  new Promise((resolve) => {
    Deno.addSignalListener("SIGUSR2", resolve);
    const { pid } = Deno;
    new Deno.Command("sh", { args: ["-c", `kill -USR2 ${pid}`] }).spawn();
  }));
await step("worker", () =>
  new Promise((resolve, reject) => {
    const code = "postMessage('hello')";
    const worker = new Worker(`data:text/javascript,${code}`, {
      type: "module",
    });
    worker.onmessage = () => (worker.terminate(), resolve());
    worker.onerror = reject;
  }));
await step("garbage collection", async () => {
  let kept: unknown[] = [];
  for (let round = 0; round < 20; round++) {
    kept = Array.from({ length: 50_000 }, (_, i) => ({ round, i, kept: [] }));
    (globalThis as unknown as { gc(): void }).gc();
    await Promise.resolve();
  }
  if (kept.length !== 50_000) throw new Error();
});

daemonizeComplete();
await Deno.writeTextFile(`${report}.new`, JSON.stringify({ done }));
await Deno.rename(`${report}.new`, report!);
setInterval(() => {}, 1000);
