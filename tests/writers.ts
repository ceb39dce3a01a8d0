/**
 * Daemons that write what a test tells them to, and the files that it goes to.
 *
 * @module
 */
import { MONITORED } from "./monitored.ts";
import type { Sandbox } from "./sandbox.ts";

/** A file that lines go to, and a new one every 100 bytes. */
export const ROTATED = ["--output=out", "--log-rotate=100,99"];

/** Numbers, a line each. */
export function numbers(last: number, first = 1): string {
  return Array.from({ length: last - first + 1 }, (_, i) => `${first + i}\n`)
    .join("");
}

/** A daemon that writes what it is told to. */
export class TestWriter {
  readonly #box: Sandbox;
  readonly #fifo: string;

  private constructor(box: Sandbox, fifo: string) {
    this.#box = box;
    this.#fifo = fifo;
  }

  /**
   * Starts one, with web.pid.
   *
   * @param options tend's.
   */
  static async start(
    box: Sandbox,
    ...options: string[]
  ): Promise<TestWriter> {
    const fifo = box.path("script");
    await box.run(["mkfifo", fifo]);
    // It is open for writing, too: there is no end of it.
    const script = 'while read -r line <&3; do eval "$line"; done 3<>"$1"';
    const { code, stderr } = await box.tend(
      ...[...MONITORED, ...options, "--", "sh", "-c", script, "sh", fifo],
    );
    if (code !== 0) throw new Error(stderr);
    return new TestWriter(box, fifo);
  }

  /** Has it run a line of shell. */
  run(line: string): void {
    Deno.writeTextFileSync(this.#fifo, `${line}\n`, { create: false });
  }

  /** Has it write numbers, and waits until they are in its file. */
  async count(last: number, first = 1, file = "out"): Promise<void> {
    this.run(`seq ${first} ${last}`);
    await this.#box.until(
      `${last} is written`,
      () => this.#box.read(this.#box.path(file))?.endsWith(`${last}\n`),
    );
  }
}
