import { assertEquals } from "@std/assert/equals";
import {
  afterCrash,
  DEFAULT_THROTTLE,
  isTooOften,
  type Throttle,
} from "../../lib/restart_throttle.ts";

/** Crashes one after the other: when each is followed by a restart. */
function restarts(
  throttle: Throttle,
  uptimes: readonly number[],
): number[] {
  let now = 1_000_000;
  let state = {
    throttle,
    interval: throttle.delay,
    lastRestart: undefined as number | undefined,
    recentEnds: [] as readonly number[],
    readySince: now as number | undefined,
  };
  return uptimes.map((uptime) => {
    now += uptime;
    const crash = now;
    const { earliest, interval, recentEnds } = afterCrash(state, now);
    now = Math.max(now, earliest ?? now);
    state = {
      ...state,
      interval,
      recentEnds,
      lastRestart: now,
      readySince: now,
    };
    return now - crash;
  });
}

Deno.test("afterCrash() restarts at once, then one in 10 seconds by default", () => {
  assertEquals(
    restarts(DEFAULT_THROTTLE, [5, 100, 3_000, 9_999, 10_000, 60_000, 0]),
    [0, 9_900, 7_000, 1, 0, 0, 10_000],
  );
});

Deno.test("afterCrash() doubles the delay up to the largest", () => {
  const throttle = { ...DEFAULT_THROTTLE, delay: 100, maxDelay: 500 };
  assertEquals(restarts(throttle, [0, 0, 0, 0, 0, 0]), [
    0,
    100,
    200,
    400,
    500,
    500,
  ]);
});

Deno.test("afterCrash() begins anew after a daemon that was healthy", () => {
  const throttle = {
    ...DEFAULT_THROTTLE,
    delay: 100,
    maxDelay: 800,
    reset: 50,
  };
  assertEquals(restarts(throttle, [0, 0, 0, 49, 50, 0]), [
    0,
    100,
    200,
    351,
    0,
    100,
  ]);
});

Deno.test("afterCrash() takes one that was never ready for unhealthy", () => {
  const { earliest } = afterCrash({
    throttle: { ...DEFAULT_THROTTLE, reset: 1 },
    interval: 10_000,
    lastRestart: 1_000,
    recentEnds: [],
    readySince: undefined,
  }, 9_000);
  assertEquals(earliest, 11_000);
});

Deno.test("afterCrash() does not wait without a delay", () => {
  const throttle = { ...DEFAULT_THROTTLE, delay: 0, maxDelay: 0 };
  assertEquals(restarts(throttle, [0, 0, 0]), [0, 0, 0]);
});

Deno.test("isTooOften() counts ends within a window that slides, whatever the uptimes", () => {
  const throttle: Throttle = {
    ...DEFAULT_THROTTLE,
    limit: { ends: 3, within: 100 },
  };
  let recentEnds: readonly number[] = [];
  const seen = [0, 60, 120, 150, 400].map((now) => {
    ({ recentEnds } = afterCrash({
      throttle,
      interval: 0,
      lastRestart: undefined,
      recentEnds,
      readySince: 0,
    }, now));
    return isTooOften(throttle, recentEnds, now);
  });
  assertEquals(seen, [false, false, false, true, false]);
});

Deno.test("isTooOften() never is without a limit", () => {
  assertEquals(isTooOften(DEFAULT_THROTTLE, [1, 1, 1], 1), false);
});
