/**
 * Programs of Debian that were written for systemd's `Type=notify` and for s6,
 * as they are.
 */
import { assertEquals } from "@std/assert/equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import { LOGGED, shown } from "../monitored.ts";
import { parentOf } from "../proc.ts";
import { freePort } from "../ready.ts";
import { Sandbox } from "../sandbox.ts";

/** Whether a program is not there; where CI is all are. */
function lacks(program: string): boolean {
  return !Deno.env.get("CI") &&
    !new Deno.Command("sh", { args: ["-c", `command -v ${program}`] })
      .outputSync().success;
}

Deno.test({
  name: "tend --ready=notify waits until redis-server takes commands",
  ignore: lacks("redis-server"),
  fn: async () => {
    await using box = await Sandbox.create();
    const port = freePort();
    const config = ["--supervised", "systemd", "--dir", box.dir].concat(
      ...["--port", `${port}`, "--bind", "127.0.0.1", "--save", ""],
    );
    // It writes its title over its environment, by which others are found.
    await using _stopped = {
      [Symbol.asyncDispose]: () => box.tend("stop", "web").then(() => {}),
    };
    const { code } = await box.tend(
      ...[...LOGGED, "--ready=notify", "--", "redis-server", ...config],
    );
    assertEquals(code, 0);
    assertEquals(shown(box)?.statusText, "Ready to accept connections");
    using connection = await Deno.connect({ hostname: "127.0.0.1", port });
    await connection.write(new TextEncoder().encode("PING\r\n"));
    const answer = new Uint8Array(7);
    await connection.read(answer);
    assertEquals(new TextDecoder().decode(answer), "+PONG\r\n");
  },
});

Deno.test({
  name: "tend --ready=notify shows why redis-server does not start",
  ignore: lacks("redis-server"),
  fn: async () => {
    await using box = await Sandbox.create();
    const command = ["redis-server", "--supervised", "systemd", "--port", "x"];
    const { code, stderr } = await box.tend(
      ...[...LOGGED, "--ready=notify", "--", ...command],
    );
    assertEquals(code, 1);
    assertEquals(stderr.includes("argument couldn't be parsed"), true, stderr);
  },
});

Deno.test({
  name: "tend --ready=notify waits for systemd-notify, that waits for tend",
  ignore: lacks("systemd-notify"),
  fn: async () => {
    await using box = await Sandbox.create();
    // It returns when its message has been read.
    const script = "systemd-notify --ready --status='at work' && " +
      `echo "$NOTIFY_SOCKET" >${box.path("read")}; exec sleep 600`;
    const { code } = await box.tend(
      ...[...LOGGED, "--ready=notify", "--", "sh", "-c", script],
    );
    assertEquals(code, 0);
    assertEquals(shown(box)?.statusText, "at work");
    await box.until(
      "its message has been read",
      () => box.read(box.path("read"))?.startsWith("@tend/notify/"),
    );
    const monitor = parentOf(box.pidfile("web.pid")!);
    const environ = Deno.readTextFileSync(`/proc/${monitor}/environ`);
    assertEquals(environ.includes("NOTIFY_SOCKET=@tend/"), false);
  },
});

for (const program of ["s6-ipcserver", "s6-fdholder-daemon"]) {
  Deno.test({
    name: `tend --ready=fd waits until ${program} listens`,
    ignore: lacks(program),
    fn: async () => {
      await using box = await Sandbox.create();
      const socket = box.path("socket");
      const command = program === "s6-ipcserver"
        ? [program, "-1", socket, "cat"]
        : [program, "-1", "-i", box.dir, socket];
      // Its -1 writes to standard output, which is another in their run scripts too.
      const onThree = ["sh", "-c", 'exec "$@" >&3 3>&-', "sh", ...command];
      const started = await box.tend(
        ...[...LOGGED, "--ready=fd=3", "--", ...onThree],
      );
      assertEquals([started.code, started.stderr], [0, ""]);
      using _ = await Deno.connect({ transport: "unix", path: socket });
    },
  });
}

const AS_NOBODY = ["setpriv", "--reuid=65534", "--clear-groups"];

Deno.test({
  name: "tend --ready=notify does not believe another user",
  ignore: Deno.uid() !== 0 || lacks("systemd-notify"),
  fn: async () => {
    await using box = await Sandbox.create();
    const script = `${AS_NOBODY.join(" ")} systemd-notify --ready; sleep 600`;
    const { code, stderr } = await box.tend(
      ...[...LOGGED, "--ready=notify", "--ready-timeout=500ms"],
      ...["--", "sh", "-c", script],
    );
    assertEquals(code, 1);
    assertStringIncludes(stderr, "WARN|ignored a notification of user 65534\n");
    assertStringIncludes(stderr, "tend: web: not ready within 0.5 s");
  },
});

Deno.test({
  name: "tend --ready=notify believes a daemon that has become another user",
  ignore: Deno.uid() !== 0 || lacks("systemd-notify"),
  fn: async () => {
    await using box = await Sandbox.create();
    const script = "systemd-notify --ready; exec sleep 600";
    const { code, stderr } = await box.tend(
      ...[...LOGGED, "--ready=notify", "--", ...AS_NOBODY, "sh", "-c", script],
    );
    assertEquals([code, stderr], [0, ""]);
  },
});
