/**
 * Commands that become ready in all ways in which one can, when a file is there.
 *
 * @module
 */
import type { Sandbox } from "./sandbox.ts";

/** A way to be ready, and a command that is when the file `go` is there. */
export interface ReadyWay {
  /** The value of `--ready`. */
  readonly ready: string;
  /** What the wait is called in messages. */
  readonly waitingFor: string;
  /** The command: it stays after that. */
  readonly command: readonly string[];
}

/** A port of this machine that nobody listens on. */
export function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  return port;
}

/** A Deno program that waits for the file and runs something then. */
function program(box: Sandbox, name: string, source: string): string[] {
  const path = box.path(`${name}.ts`);
  Deno.writeTextFileSync(
    path,
    `
    while (true) {
      try { Deno.statSync(Deno.args[0]); break; } catch { /* not yet */ }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    ${source}
    setInterval(() => {}, 1e6);
    `,
  );
  const flags = ["-A", "--quiet", "--no-config", "--no-lock"];
  return [Deno.execPath(), "run", ...flags, path, box.path("go")];
}

/** A shell script that waits for the file and does something then. */
function script(box: Sandbox, then: string): string[] {
  const wait = 'until test -e "$1"; do sleep 0.01; done; ';
  return ["sh", "-c", `${wait}${then}; exec sleep 600`, "sh", box.path("go")];
}

/** All ways, with a port and files that are free. */
export function readyWays(box: Sandbox): Record<string, ReadyWay> {
  const port = freePort();
  const [socket, file] = [box.path("web.sock"), box.path("web.ready")];
  const listen = `Deno.listen({ port: ${port}, hostname: "127.0.0.1" });`;
  return {
    notify: {
      ready: "notify",
      waitingFor: "READY=1",
      command: script(box, "systemd-notify --ready"),
    },
    fd: {
      ready: "fd=3",
      waitingFor: "a newline on descriptor 3",
      command: script(box, "echo >&3; exec 3>&-"),
    },
    tcp: {
      ready: `tcp=${port}`,
      waitingFor: `tcp ${port}`,
      command: program(box, "tcp", listen),
    },
    "tcp of a host": {
      ready: `tcp=127.0.0.1:${port}`,
      waitingFor: `tcp 127.0.0.1:${port}`,
      command: program(box, "tcp", listen),
    },
    unix: {
      ready: `unix=${socket}`,
      waitingFor: `unix ${socket}`,
      command: program(
        box,
        "unix",
        `try { Deno.removeSync("${socket}"); } catch { /* none */ }
         Deno.listen({ transport: "unix", path: "${socket}" });`,
      ),
    },
    file: {
      ready: `file=${file}`,
      waitingFor: `file ${file}`,
      command: script(box, `echo >${file}`),
    },
    "file in a directory that is not there yet": {
      ready: `file=${box.path("sub/dir/web.ready")}`,
      waitingFor: `file ${box.path("sub/dir/web.ready")}`,
      command: script(
        box,
        `mkdir -p ${box.path("sub/dir")}; echo >${
          box.path("sub/dir/web.ready")
        }`,
      ),
    },
  };
}

/** The names of all ways. */
export const READY_WAY_NAMES = [
  "notify",
  "fd",
  "tcp",
  "tcp of a host",
  "unix",
  "file",
  "file in a directory that is not there yet",
] as const;
