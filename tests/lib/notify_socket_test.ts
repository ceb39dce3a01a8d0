import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import {
  decodeMonitorState,
  encodeMonitorState,
} from "../../lib/monitor_record.ts";
import type { MonitorState } from "../../lib/monitor_state.ts";
import {
  heed,
  notifySocket,
  readMessages,
  type Said,
  saidNothing,
} from "../../lib/notify_socket.ts";
import { disposable } from "../descriptors.ts";
import { forAny, Random } from "../random.ts";
import { anyState } from "./any_state.ts";
import "../open_libc.ts";

const state = (random = new Random(1)): MonitorState => ({
  ...anyState(random),
  statusText: undefined,
});

/** What a message says. */
function said(message: string, daemon = state()): Said {
  const said = saidNothing();
  heed(daemon, message, said);
  return said;
}

Deno.test("heed() is ready by READY=1 in a line of its own", () => {
  for (const text of ["READY=1", "STATUS=a\nREADY=1\n", "\n\nREADY=1\0"]) {
    assertEquals([text, said(text).ready], [text, !text.includes("\0")]);
  }
  for (const text of ["", "READY=0", "XREADY=1", "STATUS=READY=1", "ready=1"]) {
    assertEquals([text, said(text).ready], [text, false]);
  }
});

Deno.test("heed() keeps the last STATUS, without what a terminal obeys", () => {
  const daemon = state();
  said("STATUS=one\nSTATUS=t\x1b[31mwo\x9b\u202e\u2028x\0", daemon);
  assertEquals(daemon.statusText, "t [31mwo   x ");
  said(`STATUS=${"\u{1f600}".repeat(5000)}`, daemon);
  assert(daemon.statusText!.length <= 400);
});

Deno.test("heed() tells a daemon that works from one that hangs", () => {
  const words = (message: string) => {
    const { works, hangs, more } = said(message);
    return { works, hangs, more };
  };
  const works = { works: true, hangs: false, more: false };
  assertEquals(words("WATCHDOG=1"), works);
  assertEquals(words("WATCHDOG=1\n"), works);
  assertEquals(words("STATUS=a\nWATCHDOG=1"), { ...works, more: true });
  const hangs = { works: false, hangs: true, more: true };
  assertEquals(words("WATCHDOG=trigger"), hangs);
  for (const text of ["WATCHDOG=0", "WATCHDOG=", "WATCHDOG", "watchdog=1"]) {
    const neither = { works: false, hangs: false, more: true };
    assertEquals([text, words(text)], [text, neither]);
  }
});

Deno.test("heed() lets a daemon say how often it will say that it works", () => {
  const interval = (usec: string) => {
    const daemon = { ...state(), watchdogInterval: 7 };
    const { works } = said(`WATCHDOG_USEC=${usec}`, daemon);
    return [works, daemon.watchdogInterval];
  };
  assertEquals(interval("2500000"), [true, 2500]);
  // systemd's words for never.
  assertEquals(interval("0"), [true, 0]);
  assertEquals(interval("18446744073709551615"), [true, 0]);
  for (const usec of ["", "-1", "1s", "0x10", "123456789012345678901"]) {
    assertEquals([usec, interval(usec)], [usec, [false, 7]]);
  }
});

Deno.test("heed() makes of any message a state that can be put away", () => {
  forAny((random) => {
    const daemon = state(random);
    const words = [
      "READY=1",
      "STATUS=",
      "MAINPID=1",
      "WATCHDOG=1",
      "WATCHDOG=trigger",
      "WATCHDOG_USEC=1",
      "\n",
      "=",
      "\0",
      "\ud800",
    ];
    const message = Array.from({ length: random.below(30) }, () =>
      random.pick([
        random.pick(words),
        String.fromCharCode(random.below(0x10000)),
      ])).join("");
    said(message, daemon);
    const text = JSON.stringify(encodeMonitorState(daemon));
    assertEquals(decodeMonitorState(JSON.parse(text)), daemon);
  });
});

Deno.test("readMessages() has heard nothing by a socket to which nobody has written", () => {
  const { fd, name } = notifySocket();
  using _ = disposable(fd);
  assertEquals(name.startsWith("@tend/notify/"), true);
  assertEquals(readMessages({ ...state(), messagesFd: fd }), saidNothing());
  assertEquals(readMessages({ ...state(), messagesFd: -1 }), saidNothing());
});
