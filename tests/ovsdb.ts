/**
 * A real program of Open vSwitch.
 *
 * @module
 */
import type { Finished, Sandbox } from "./sandbox.ts";

const SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema";

/** Whether to pass over tests with it: it is there where CI runs. */
export const WITHOUT_OVSDB: boolean = Deno.env.get("CI") === undefined &&
  !isInstalled();

function isInstalled(): boolean {
  try {
    Deno.statSync(SCHEMA);
    return new Deno.Command("ovsdb-server", { args: ["--version"] })
      .outputSync().success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** A database of its own and the server for it. */
export class Ovsdb {
  readonly #box: Sandbox;
  /** Where its socket is. */
  readonly socket: string;
  readonly #db: string;
  /** The environment that keeps its files in the sandbox. */
  readonly env: Record<string, string>;

  private constructor(box: Sandbox, name: string) {
    this.#box = box;
    this.socket = box.path(`${name}.sock`);
    this.#db = box.path(`${name}.db`);
    const dir = box.path("ovs");
    this.env = { OVS_RUNDIR: dir, OVS_LOGDIR: dir };
  }

  /** Makes a database. */
  static async create(box: Sandbox, name = "db"): Promise<Ovsdb> {
    const ovsdb = new Ovsdb(box, name);
    for (const dir of ["ovs", "run"]) {
      Deno.mkdirSync(box.path(dir), { recursive: true });
    }
    await box.run(["ovsdb-tool", "create", ovsdb.#db, SCHEMA]);
    return ovsdb;
  }

  /** The words that start its server. */
  argv(...options: string[]): string[] {
    const remote = `--remote=punix:${this.socket}`;
    return ["ovsdb-server", "-vconsole:off", remote, ...options, this.#db];
  }

  /** Starts its server in the background, to hold a pidfile. */
  start(pidfile: string, ...options: string[]): Promise<Finished> {
    const log = `--log-file=${this.#db}.log`;
    return this.#box.run(
      this.argv("--detach", `--pidfile=${pidfile}`, log, ...options),
      { env: this.env },
    );
  }
}
