/**
 * A systemd of a test's own, that runs units as the one of a machine does.
 *
 * It is a user's manager, in a mount namespace where the machine looks as if
 * systemd had booted it, and in a cgroup namespace that begins with a cgroup of
 * the test's: it sees no other process, and has nothing to do with another
 * systemd.
 *
 * @module
 */
import { fail } from "@std/assert/fail";
import type { Finished, Running, Sandbox } from "./sandbox.ts";

const SYSTEMD = "/usr/lib/systemd/systemd";

/** Where this process could make a cgroup; `undefined` where it has none. */
function ownCgroup(): string | undefined {
  const mounts = Deno.readTextFileSync("/proc/self/mountinfo").split("\n");
  const mount = mounts.find((line) => line.includes(" - cgroup2 "));
  const own = /^0::(.*)$/m.exec(Deno.readTextFileSync("/proc/self/cgroup"));
  return mount && own
    ? `${mount.split(" ")[4]}${own[1] === "/" ? "" : own[1]}`
    : undefined;
}

/** Whether nobody here may run one; even root may not in most containers. */
export const CANNOT_RUN_SYSTEMD: boolean = !canRunSystemd();

function canRunSystemd(): boolean {
  const cgroup = ownCgroup();
  if (Deno.uid() !== 0 || cgroup === undefined) return false;
  const script = `test -x ${SYSTEMD} && mkdir "$1" && rmdir "$1" &&
    exec unshare -m -C mount -t tmpfs none /run`;
  const probe = `${cgroup}/tend-probe-${crypto.randomUUID()}`;
  return new Deno.Command("sh", { args: ["-c", script, "sh", probe] })
    .outputSync().success;
}

/** What must be there for a manager to start. */
const TARGETS = ["basic", "sysinit", "shutdown"];

/** A systemd that runs. */
export class Systemd implements AsyncDisposable {
  readonly #box: Sandbox;
  readonly #cgroup: string;
  readonly #running: Running;

  private constructor(box: Sandbox, cgroup: string, running: Running) {
    this.#box = box;
    this.#cgroup = cgroup;
    this.#running = running;
  }

  /**
   * Starts one. `await using` it, after its sandbox.
   *
   * @param box Where.
   * @param units The files of units, by name.
   */
  static async start(
    box: Sandbox,
    units: Readonly<Record<string, string>>,
  ): Promise<Systemd> {
    const directory = box.path("units");
    await Deno.mkdir(directory);
    for (const target of TARGETS) {
      const text = "[Unit]\nDefaultDependencies=no\n";
      await Deno.writeTextFile(`${directory}/${target}.target`, text);
    }
    for (const [name, text] of Object.entries(units)) {
      await Deno.writeTextFile(`${directory}/${name}`, text);
    }
    await Deno.mkdir(box.path("xdg"));
    const cgroup = `${ownCgroup()}/tend-test-${crypto.randomUUID()}`;
    // Each step has to have worked before the next: nothing may run there that
    // sees the machine's own cgroups.
    const inside = `set -e
      umount -R /sys/fs/cgroup
      mount -t cgroup2 none /sys/fs/cgroup
      mount -t tmpfs none /run
      mkdir -p /run/systemd/system
      exec ${SYSTEMD} --user --unit=basic.target`;
    const outside = `set -e
      mkdir "$1"
      echo $$ >"$1/cgroup.procs"
      exec unshare -m -C --propagation private sh -c "$2"`;
    const running = box.start(["sh", "-c", outside, "sh", cgroup, inside], {
      env: {
        XDG_RUNTIME_DIR: box.path("xdg"),
        SYSTEMD_UNIT_PATH: directory,
        SYSTEMD_LOG_TARGET: "console",
      },
    });
    const systemd = new Systemd(box, cgroup, running);
    const socket = box.path("xdg/systemd/private");
    try {
      await box.until("systemd runs", () => isThere(socket));
    } catch (error) {
      await systemd[Symbol.asyncDispose]();
      throw error;
    }
    return systemd;
  }

  /** Has it do something; `systemctl` fails as it does. */
  control(...args: string[]): Promise<Finished> {
    return this.#box.run(["systemctl", "--user", "--no-pager", ...args], {
      env: { XDG_RUNTIME_DIR: this.#box.path("xdg") },
    });
  }

  /** The same where it has to work. */
  async must(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.control(...args);
    if (code === 0) return stdout;
    fail(`systemctl ${args.join(" ")}: ${stderr}${this.#running.stderr()}`);
  }

  /** A unit's properties, by name. */
  async show(unit: string): Promise<Record<string, string>> {
    const names = "ActiveState,SubState,Result,MainPID,NRestarts,StatusText";
    const text = await this.must("show", "-p", names, unit);
    return Object.fromEntries(
      text.trimEnd().split("\n").map((line) => {
        const equals = line.indexOf("=");
        return [line.slice(0, equals), line.slice(equals + 1)];
      }),
    );
  }

  /** Waits until a unit's properties are what is wanted, and has them. */
  async shows(
    unit: string,
    wanted: Readonly<Record<string, string>>,
  ): Promise<Record<string, string>> {
    const deadline = Date.now() + 30_000;
    for (;;) {
      const shown = await this.show(unit);
      const isSo = Object.entries(wanted)
        .every(([name, value]) => shown[name] === value);
      if (isSo) return shown;
      if (Date.now() > deadline) {
        fail(`${unit} is ${JSON.stringify(shown)}: ${this.#running.stderr()}`);
      }
    }
  }

  /** Ends it with all that it has started, and removes its cgroup. */
  async [Symbol.asyncDispose](): Promise<void> {
    const cgroup = this.#cgroup;
    if (isThere(cgroup)) {
      Deno.writeTextFileSync(`${cgroup}/cgroup.kill`, "1");
      await this.#box.until("its processes have ended", () => {
        const events = Deno.readTextFileSync(`${cgroup}/cgroup.events`);
        return events.includes("populated 0\n");
      });
      removeCgroup(cgroup);
    }
    await this.#running.finished();
  }
}

function isThere(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** It has files that cannot be removed, and need not be. */
function removeCgroup(path: string): void {
  for (const { name, isDirectory } of Deno.readDirSync(path)) {
    if (isDirectory) removeCgroup(`${path}/${name}`);
  }
  Deno.removeSync(path);
}
