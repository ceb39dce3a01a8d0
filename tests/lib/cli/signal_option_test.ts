import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { readSignal } from "../../../lib/cli/signal_option.ts";
import { UsageError } from "../../../lib/options.ts";

Deno.test("readSignal() is the signal that is named last", () => {
  const given = ["HUP", "9"].map((value) => ({ name: "signal", value }));
  assertEquals(readSignal(given, 15), 9);
});

Deno.test("readSignal() is the usual signal where none is named", () => {
  assertEquals(readSignal([{ name: "json", value: undefined }], 15), 15);
});

Deno.test("readSignal() refuses what is no signal, and says what it could have been", () => {
  const error = assertThrows(
    () => readSignal([{ name: "signal", value: "SIGTREM" }], 15),
    UsageError,
  );
  assertEquals(
    error.message,
    "option --signal=SIGTREM: not a signal, as TERM, SIGTERM and 15 are",
  );
  assertEquals(error.misspelt?.word, "SIGTREM");
  assertEquals(error.misspelt?.words.slice(0, 2), ["HUP", "SIGHUP"]);
});
