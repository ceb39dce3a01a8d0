import { assertEquals } from "@std/assert/equals";
import { Sandbox } from "../sandbox.ts";
import { WAYS } from "./ways.ts";

const STATUS = { SIGTERM: 143, SIGINT: 130, SIGHUP: 129, SIGALRM: 142 };

for (const way of WAYS) {
  const test = (
    name: string,
    words: string[],
    body: (box: Sandbox, file: string, pid: number) => void,
    status: number,
    left: string[],
  ) =>
    Deno.test({
      name: `${way.name}: ${name}`,
      sanitizeResources: false,
      fn: async () => {
        await using box = await Sandbox.create();
        const file = box.path("file");
        const argv = await way.command("signals");
        const running = box.start(
          [...argv, "--pidfile=it.pid", file, ...words],
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

  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP", "SIGALRM"] as const) {
    test(
      `${signal} runs the hooks, removes the files, and kills`,
      [],
      (_box, _file, pid) => Deno.kill(pid, signal),
      STATUS[signal],
      ["file.hook"],
    );
  }
  for (const kind of ["listen", "node"]) {
    test(
      `a listener of the program's own wins (${kind})`,
      [kind],
      (_box, _file, pid) => Deno.kill(pid, "SIGTERM"),
      0,
      ["file.hook", "file.listener"],
    );
  }
  test("running off the end runs the hooks", ["end"], () => {}, 0, [
    "file.hook",
  ]);
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
}
