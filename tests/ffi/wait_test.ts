import {
  close,
  closesOnExec,
  pipe2,
  readIfAny,
  writeFully,
} from "../../ffi/descriptor.ts";
import { assertEquals } from "@std/assert/equals";
import { assertGreaterOrEqual } from "@std/assert/greater-or-equal";
import { assertLessOrEqual } from "@std/assert/less-or-equal";
import { assertMatch } from "@std/assert/match";
import { O_RDWR } from "../../ffi/file.ts";
import { inotifyChanges } from "../../ffi/inotify.ts";
import {
  bootTime,
  eventfd,
  intervalTimerfd,
  overdueBy,
  setTimerfd,
  setTimerInterval,
  timerfd,
  waitReadable,
} from "../../ffi/wait.ts";
import { disposable, opened } from "../descriptors.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

function timerAt(deadline: number): number {
  const fd = timerfd();
  setTimerfd(fd, deadline);
  return fd;
}

Deno.test("waitReadable() returns those descriptors alone that can be read", () => {
  using silent = pipe();
  using speaking = pipe();
  using other = pipe();
  writeFully(speaking.writeFd, "x");
  writeFully(other.writeFd, "x");
  assertEquals(
    waitReadable([silent.readFd, speaking.readFd, other.readFd]),
    [speaking.readFd, other.readFd],
  );
});

Deno.test("waitReadable() returns a pipe whose other end is gone", () => {
  const { readFd, writeFd } = pipe2();
  close(writeFd);
  assertEquals(waitReadable([readFd]), [readFd]);
  close(readFd);
});

Deno.test("waitReadable() returns a descriptor that is not open", () => {
  // Whoever reads it hears EBADF, and nobody waits for ever.
  assertEquals(waitReadable([0x7fff_0000]), [0x7fff_0000]);
});

Deno.test("waitReadable() returns an output when nobody reads it any more, and not before", () => {
  const { readFd, writeFd } = pipe2();
  using other = pipe();
  const look = () => waitReadable([other.readFd], 0, [writeFd]);
  writeFully(writeFd, "x");
  assertEquals(look(), undefined);
  close(readFd);
  assertEquals(look(), [writeFd]);
  writeFully(other.writeFd, "x");
  assertEquals(look(), [other.readFd, writeFd]);
  close(writeFd);
});

Deno.test("waitReadable() does not return an output that could be read", async () => {
  await using box = await Sandbox.create();
  await new Deno.Command("mkfifo", { args: [box.path("fifo")] }).output();
  using fifo = opened(box.path("fifo"), O_RDWR);
  writeFully(fifo.number, "x");
  assertEquals(waitReadable([], 0, [fifo.number]), undefined);
});

Deno.test("bootTime() is the clock of /proc/uptime", () => {
  const uptime = () =>
    Number(Deno.readTextFileSync("/proc/uptime").split(" ")[0]) * 1000;
  const before = uptime();
  const now = bootTime();
  // It has hundredths of a second.
  assertGreaterOrEqual(now, before);
  assertGreaterOrEqual(uptime() + 10, now);
});

Deno.test("bootTime() never goes back", () => {
  const times = Array.from({ length: 1000 }, bootTime);
  assertEquals(times, times.toSorted((a, b) => a - b));
});

Deno.test("setTimerfd() has a timer that can be read from its deadline on and not before", () => {
  const deadline = bootTime() + 20.5;
  using timer = disposable(timerAt(deadline));
  assertEquals(waitReadable([timer.number]), [timer.number]);
  assertGreaterOrEqual(bootTime(), deadline);
});

for (const past of [-1, -10_000]) {
  Deno.test(`setTimerfd() has a timer that can be read at once ${-past} ms after its deadline`, () => {
    using far = disposable(timerAt(bootTime() + 1e9));
    using timer = disposable(timerAt(Math.max(bootTime() + past, 1)));
    assertEquals(waitReadable([far.number, timer.number]), [timer.number]);
  });
}

for (const deadline of [1e9, 1e9 + 0.25, 1e9 + 999.999_999_9, 2 ** 42 + 1]) {
  Deno.test(`setTimerfd() tells the kernel ${deadline} ms and the boot clock`, () => {
    using timer = disposable(timerAt(bootTime() + deadline));
    const info = Deno.readTextFileSync(`/proc/self/fdinfo/${timer.number}`);
    assertMatch(info, /^clockid: 7$/m);
    assertMatch(info, /^settime flags: 01$/m);
    const [, seconds, nanoseconds] = /^it_value: \((\d+), (\d+)\)$/m
      .exec(info)!.map(Number);
    const left = seconds! * 1000 + nanoseconds! / 1e6;
    // What has passed since is missing.
    assertGreaterOrEqual(deadline + 0.01, left);
    assertGreaterOrEqual(left, deadline - 10_000);
    assertMatch(info, /^it_interval: \(0, 0\)$/m);
  });
}

Deno.test("setTimerfd() at a whole second is not one that never ends", () => {
  using timer = disposable(timerAt(1000));
  assertEquals(waitReadable([timer.number]), [timer.number]);
});

Deno.test("All descriptors to wait for are closed on exec", () => {
  for (const fd of [timerAt(1), inotifyChanges("/", "/file")]) {
    assertEquals(closesOnExec(fd), true);
    close(fd);
  }
});

function pipe(): Disposable & { readFd: number; writeFd: number } {
  const ends = pipe2();
  return {
    ...ends,
    [Symbol.dispose]: () => {
      close(ends.readFd);
      close(ends.writeFd);
    },
  };
}

Deno.test("overdueBy() says for how long an interval has been over, once", () => {
  const fd = intervalTimerfd();
  using _ = disposable(fd);
  assertEquals([overdueBy(fd), closesOnExec(fd)], [undefined, true]);
  const before = performance.now();
  setTimerInterval(fd, 20);
  // Twice and more: it tells by that how late we are.
  while (performance.now() < before + 65) waitReadable([fd], 5);
  const late = overdueBy(fd)!;
  assertGreaterOrEqual(late, 40);
  assertLessOrEqual(late, performance.now() - before - 20);
  setTimerInterval(fd, 1e6);
  assertEquals(overdueBy(fd), undefined);
});

Deno.test("setTimerInterval() begins anew each time, and ends by 0", () => {
  const fd = intervalTimerfd();
  using _ = disposable(fd);
  setTimerInterval(fd, 1);
  waitReadable([fd]);
  setTimerInterval(fd, 1e6);
  assertEquals(waitReadable([fd], 0), undefined);
  setTimerInterval(fd, 1);
  setTimerInterval(fd, 0);
  assertEquals(waitReadable([fd], 20), undefined);
});

Deno.test("eventfd() can be read when something was written to it, and once", () => {
  using event = disposable(eventfd());
  const { number } = event;
  assertEquals([closesOnExec(number), waitReadable([number], 0)], [
    true,
    undefined,
  ]);
  for (let i = 0; i < 2; i++) {
    writeFully(number, new Uint8Array(BigUint64Array.of(3n).buffer));
  }
  assertEquals(waitReadable([number]), [number]);
  const bytes = new Uint8Array(8);
  assertEquals([readIfAny(number, bytes), bytes[0]], [8, 6]);
  assertEquals(readIfAny(number, bytes), undefined);
});
