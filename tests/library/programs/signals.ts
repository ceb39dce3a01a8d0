/** Has a listener of its own, a hook and a file, as its words say. */
import {
  addExitHook,
  addFileToUnlink,
  daemonize,
  parseDaemonOptions,
} from "@tend/daemon";

const { options, rest: [file, ...words] } = parseDaemonOptions(Deno.args);
// Deno 2.9 catches several signals then.
if (words.includes("early")) Deno.addSignalListener("SIGUSR2", () => {});
daemonize(options);
Deno.writeTextFileSync(file!, "");
addFileToUnlink(file!);
addExitHook(() => Deno.writeTextFileSync(`${file}.hook`, ""));
function leave(): void {
  Deno.writeTextFileSync(`${file}.listener`, "");
  Deno.exit(0);
}
if (words.includes("usr1")) {
  Deno.addSignalListener("SIGUSR1", () => {
    Deno.writeTextFileSync(`${file}.usr1`, "1", { append: true });
  });
}
const [, kind, signal] = /\b(listen|node)=(\w+)/.exec(words.join(" ")) ?? [];
if (kind === "listen") Deno.addSignalListener(signal as Deno.Signal, leave);
if (kind === "node") {
  const { process } = globalThis as unknown as {
    process: { on(signal: string, listener: () => void): void };
  };
  process.on(signal!, leave);
}
if (words.includes("echo")) {
  let count = 0;
  Deno.addSignalListener("SIGUSR1", () => {
    Deno.writeTextFileSync(`${file}.echo${++count}`, "");
  });
}
if (words.includes("node-handle")) {
  const { process } = globalThis as unknown as {
    process: { on(event: string, listener: () => void): void };
  };
  process.on("unhandledRejection", () => {
    Deno.writeTextFileSync(`${file}.handled`, "");
  });
  Promise.reject(new Error("handled"));
}
if (words.includes("node-catch")) {
  const { process } = globalThis as unknown as {
    process: { on(event: string, listener: () => void): void };
  };
  process.on("uncaughtException", () => {
    Deno.writeTextFileSync(`${file}.handled`, "");
  });
  Promise.reject(new Error("handled"));
}
if (words.includes("handle")) {
  addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    Deno.writeTextFileSync(`${file}.handled`, "");
  });
  Promise.reject(new Error("handled"));
}
Deno.writeTextFileSync(`${file}.ready`, "");
if (!words.includes("end")) setInterval(() => {}, 1000);
