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
  readNotifications,
} from "../../lib/notify_socket.ts";
import { disposable } from "../descriptors.ts";
import { forAny, Random } from "../random.ts";
import { anyState } from "./any_state.ts";
import "../open_libc.ts";

const state = (random = new Random(1)): MonitorState => ({
  ...anyState(random),
  statusText: undefined,
});

Deno.test("heed() is ready by READY=1 in a line of its own", () => {
  for (const text of ["READY=1", "STATUS=a\nREADY=1\n", "\n\nREADY=1\0"]) {
    assertEquals([text, heed(state(), text)], [text, !text.includes("\0")]);
  }
  for (const text of ["", "READY=0", "XREADY=1", "STATUS=READY=1", "ready=1"]) {
    assertEquals([text, heed(state(), text)], [text, false]);
  }
});

Deno.test("heed() keeps the last STATUS, without what a terminal obeys", () => {
  const daemon = state();
  heed(daemon, "STATUS=one\nSTATUS=t\x1b[31mwo\x9b\u202e\u2028x\0");
  assertEquals(daemon.statusText, "t [31mwo   x ");
  heed(daemon, `STATUS=${"\u{1f600}".repeat(5000)}`);
  assert(daemon.statusText!.length <= 400);
});

Deno.test("heed() makes of any message a state that can be put away", () => {
  forAny((random) => {
    const daemon = state(random);
    const words = [
      "READY=1",
      "STATUS=",
      "MAINPID=1",
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
    heed(daemon, message);
    const text = JSON.stringify(encodeMonitorState(daemon));
    assertEquals(decodeMonitorState(JSON.parse(text)), daemon);
  });
});

Deno.test("readNotifications() is not ready by a socket to which nobody has written", () => {
  const { fd, name } = notifySocket();
  using _ = disposable(fd);
  assertEquals(name.startsWith("@tend/notify/"), true);
  assertEquals(readNotifications({ ...state(), readinessFd: fd }), false);
});
