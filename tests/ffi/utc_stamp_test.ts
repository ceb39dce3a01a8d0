import { assertEquals } from "@std/assert/equals";
import { CallScript, type Cell } from "../../ffi/call_script.ts";
import { readyScript } from "../../ffi/run_script.ts";
import { STAMP_LENGTH, stampRoom, writeStamp } from "../../ffi/utc_stamp.ts";
import "../open_libc.ts";

/** Makes a function that has a script write a timestamp. */
function stamper(): (seconds: number, nanoseconds: number) => string {
  const script = new CallScript();
  const time = script.bytes(new Uint8Array(16));
  const stamp = stampRoom(script);
  writeStamp(script, time, stamp);
  script.step("return", "return");
  const ready = readyScript(script);
  const words: Cell[] = [0, 8, 16, 24].map((at) => ({
    cell: stamp.place + at,
  }));
  return (seconds, nanoseconds) => {
    ready.set({ cell: time.place }, BigInt(seconds));
    ready.set({ cell: time.place + 8 }, BigInt(nanoseconds));
    ready.run();
    const bytes = BigInt64Array.from(words, ready.get).buffer;
    return new TextDecoder().decode(bytes.slice(0, STAMP_LENGTH));
  };
}

/** What Deno makes of the same time. */
function expected(seconds: number, microseconds: number): string {
  const date = new Date(seconds * 1000).toISOString();
  return date.replace(".000Z", `.${`${microseconds}`.padStart(6, "0")}Z `);
}

Deno.test("writeStamp() writes the beginning and the end of each day until 2500 as Date does", () => {
  const stampOf = stamper();
  const end = Date.UTC(2500, 0) / 1000;
  for (let day = 0; day < end; day += 86_400) {
    assertEquals(stampOf(day, 0), expected(day, 0));
    const last = day + 86_399;
    assertEquals(stampOf(last, 999_999_999), expected(last, 999_999));
  }
});

Deno.test("writeStamp() writes each second of a day as Date does", () => {
  const stampOf = stamper();
  const day = Date.UTC(2024, 1, 29) / 1000;
  for (let second = day; second < day + 86_400; second++) {
    assertEquals(stampOf(second, 1000), expected(second, 1));
  }
});

for (
  const [seconds, nanoseconds, text] of [
    [0, 0, "1970-01-01T00:00:00.000000Z "],
    [951_782_400, 0, "2000-02-29T00:00:00.000000Z "],
    [2 ** 31 - 1, 999_999_999, "2038-01-19T03:14:07.999999Z "],
    [2 ** 31, 999, "2038-01-19T03:14:08.000000Z "],
    [2 ** 32, 1_000, "2106-02-07T06:28:16.000001Z "],
    [4_107_542_399, 100_000, "2100-02-28T23:59:59.000100Z "],
    [4_107_542_400, 0, "2100-03-01T00:00:00.000000Z "],
    [253_402_300_799, 123_456_789, "9999-12-31T23:59:59.123456Z "],
  ] as const
) {
  Deno.test(`writeStamp() writes ${text}for ${seconds} s and ${nanoseconds} ns`, () => {
    assertEquals(stamper()(seconds, nanoseconds), text);
  });
}
