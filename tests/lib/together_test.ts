import { assertEquals } from "@std/assert/equals";
import { assertGreaterOrEqual } from "@std/assert/greater-or-equal";
import { close, pipe2, writeFully } from "../../ffi/descriptor.ts";
import { bootTime } from "../../ffi/wait.ts";
import { allEnd, type Job, runTogether } from "../../lib/together.ts";
import "../open_libc.ts";

// deno-lint-ignore require-yield
function* returning<T>(value: T): Job<T> {
  return value;
}

Deno.test("runTogether() returns what came out of jobs that do not wait", () => {
  assertEquals(runTogether([returning(1), returning(2)]), [1, 2]);
  assertEquals(runTogether([]), []);
});

Deno.test("runTogether() goes on with who can, in whatever order", () => {
  const order: string[] = [];
  const [first, second] = [pipe2(), pipe2()];
  // Each is let go on by the one behind it.
  const waiting = function* (
    name: string,
    mine: number,
    other?: number,
  ): Job<string> {
    order.push(`${name} waits`);
    yield { fds: [mine], until: Infinity };
    order.push(`${name} goes on`);
    if (other !== undefined) writeFully(other, "x");
    return name;
  };
  const starting = function* (): Job<string> {
    writeFully(second.writeFd, "x");
    return yield* returning("starter");
  };
  assertEquals(
    runTogether([
      waiting("a", first.readFd),
      waiting("b", second.readFd, first.writeFd),
      starting(),
    ]),
    ["a", "b", "starter"],
  );
  assertEquals(order, ["a waits", "b waits", "b goes on", "a goes on"]);
  for (const { readFd, writeFd } of [first, second]) {
    close(readFd);
    close(writeFd);
  }
});

Deno.test("runTogether() goes on when the time of a job is over", () => {
  const { readFd, writeFd } = pipe2();
  const until = bootTime() + 20;
  const job = function* (): Job<number> {
    yield { fds: [readFd], until };
    return bootTime();
  };
  assertGreaterOrEqual(runTogether([job()])[0]!, until);
  close(readFd);
  close(writeFd);
});

Deno.test("allEnd() is true when all descriptors can be read", () => {
  const { readFd, writeFd } = pipe2();
  writeFully(writeFd, "x");
  assertEquals(runTogether([allEnd([readFd], Infinity)]), [true]);
  assertEquals(runTogether([allEnd([], 0)]), [true]);
  close(readFd);
  close(writeFd);
});

Deno.test("allEnd() is false when the time is over before that", () => {
  const [silent, ended] = [pipe2(), pipe2()];
  close(ended.writeFd);
  const fds = [silent.readFd, ended.readFd];
  assertEquals(runTogether([allEnd(fds, bootTime() + 5)]), [false]);
  [...fds, silent.writeFd].forEach(close);
});
