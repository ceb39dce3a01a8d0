import { assertEquals } from "@std/assert/equals";
import { Sandbox } from "../sandbox.ts";
import { parentOf } from "../proc.ts";
import { WAYS } from "./ways.ts";

const SIGNALS = ["SIGTERM", "SIGINT", "SIGHUP", "SIGALRM"] as const;

/** Has a program begin with signals ignored, as `nohup` does. */
function ignoring(signals: readonly string[]): string[] {
  const names = signals.map((signal) => signal.slice("SIG".length)).join(" ");
  return ["sh", "-c", `trap "" ${names}; exec "$@"`, "sh"];
}

const STATUS = { SIGTERM: 143, SIGINT: 130, SIGHUP: 129, SIGALRM: 142 };

for (const way of WAYS) {
  const test = (
    name: string,
    words: string[],
    body: (box: Sandbox, file: string, pid: number) => void,
    status: number,
    left: string[],
    under: string[] = [],
  ) =>
    Deno.test({
      name: `${way.name}: ${name}`,
      sanitizeResources: false,
      fn: async () => {
        await using box = await Sandbox.create();
        const file = box.path("file");
        const argv = await way.command("signals");
        const running = box.start(
          [...under, ...argv, "--pidfile=it.pid", file, ...words],
        );
        await box.until("it is ready", () => box.exists(`${file}.ready`));
        body(box, file, running.pid);
        assertEquals((await running.finished()).code, status);
        assertEquals(box.runFiles(), []);
        const names = ["file", "file.hook", "file.listener", "file.handled"];
        const there = names.filter((name) => box.exists(box.path(name)));
        assertEquals(there, left);
      },
    });

  for (const signal of SIGNALS) {
    test(
      `${signal} runs the hooks, removes the files, and kills`,
      [],
      (_box, _file, pid) => Deno.kill(pid, signal),
      STATUS[signal],
      ["file.hook"],
    );
  }
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
    test(
      `${signal} runs the hooks beside a listener from before for another`,
      ["early"],
      (_box, _file, pid) => Deno.kill(pid, signal),
      STATUS[signal],
      ["file.hook"],
    );
  }
  for (const kind of ["listen", "node"]) {
    test(
      `a listener of the program's own wins (${kind})`,
      [`${kind}=SIGTERM`],
      (_box, _file, pid) => Deno.kill(pid, "SIGTERM"),
      0,
      ["file.hook", "file.listener"],
    );
  }
  test("running off the end runs the hooks", ["end"], () => {}, 0, [
    "file.hook",
  ]);
  test(
    "a rejection that the program handles as an uncaught exception is no crash",
    ["node-catch", "end"],
    () => {},
    0,
    ["file.hook", "file.handled"],
  );
  test(
    "a rejection that the program handles Node's way is no crash",
    ["node-handle", "end"],
    () => {},
    0,
    ["file.hook", "file.handled"],
  );
  test(
    "a rejection that the program handles is no crash",
    ["handle", "end"],
    () => {},
    0,
    ["file.hook", "file.handled"],
  );

  for (
    const [options, ignored] of [
      [["--detach"], ["SIGHUP"]],
      [["--detach"], SIGNALS],
      [["--detach", "--monitor"], SIGNALS],
    ] as const
  ) {
    const what = `${options.join(" ")} under ${ignored.join(", ")}`;
    Deno.test({
      name: `${way.name}: ${what} ignored has the daemon ignore them`,
      sanitizeResources: false,
      fn: async () => {
        await using box = await Sandbox.create();
        const file = box.path("file");
        const argv = [
          ...await way.command("signals"),
          ...options,
          file,
          "echo",
        ];
        const { code, stderr } = await box.run(
          [...ignoring(ignored), ...argv, "--pidfile=it.pid"],
        );
        assertEquals([code, stderr], [0, ""]);
        const daemon = box.pidfile("it.pid")!;
        const pids = options.length === 2
          ? [parentOf(daemon), daemon]
          : [daemon];
        await box.until("it listens", () => box.exists(`${file}.ready`));
        for (let i = 1; i <= 10; i++) {
          for (const signal of ignored) {
            for (const pid of pids) Deno.kill(pid, signal);
          }
          Deno.kill(daemon, "SIGUSR1");
          await box.until("it answers", () => box.exists(`${file}.echo${i}`));
        }
        assertEquals(box.pidfile("it.pid"), daemon);
        assertEquals(box.processes().sort(), pids.sort());
      },
    });
  }
  for (const kind of ["listen", "node"]) {
    for (const signal of SIGNALS) {
      test(
        `a listener hears ${signal} that the caller had ignored (${kind})`,
        [`${kind}=${signal}`],
        (_box, _file, pid) => Deno.kill(pid, signal),
        0,
        ["file.hook", "file.listener"],
        ignoring([signal]),
      );
    }
  }
}
