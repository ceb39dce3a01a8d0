import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { parseSignal, signalName, signalNames } from "../../lib/signal_name.ts";
import { run } from "../../scripts/command.ts";

Deno.test("parseSignal() has all names and numbers that kill -l has", async () => {
  const { stdout } = await run("bash", ["-c", "kill -l"]);
  const listed = [...stdout.matchAll(/(\d+)\) (\S+)/g)];
  assertEquals(listed.length, 62);
  for (const [, number, name] of listed) {
    assertEquals(parseSignal(name!), Number(number), name);
    assertEquals(parseSignal(name!.slice(3)), Number(number), name);
    assertEquals(parseSignal(number!), Number(number), number);
  }
});

const READ: readonly [text: string, signal: number][] = [
  ["term", 15],
  ["SigTerm", 15],
  ["015", 15],
  ["RTMIN", 34],
  ["RTMIN+0", 34],
  ["rtmin+30", 64],
  ["SIGRTMAX", 64],
  ["RTMAX-30", 34],
];

for (const [text, signal] of READ) {
  Deno.test(`parseSignal() reads ${text}`, () => {
    assertEquals(parseSignal(text), signal);
  });
}

const REFUSED = [
  ...["", " ", "TREM", "SIG", "SIGSIGTERM", "TERM ", "\nTERM", "0", "-9", "65"],
  ...[
    "32",
    "33",
    "9.0",
    "1e1",
    "0x9",
    "RTMIN-1",
    "RTMAX+1",
    "RTMIN+31",
    "RTMAX-31",
  ],
  ...[
    "RTMIN+",
    "RTMIN+001",
    "__proto__",
    "constructor",
    "99999999999999999999",
  ],
  // Letters that are an S and an I when they are made large.
  ...["\u017fIGHUP", "S\u0131GHUP", "\u0131NT"],
];

for (const text of REFUSED) {
  Deno.test(`parseSignal() refuses ${JSON.stringify(text)}`, () => {
    assertThrows(() => parseSignal(text), TypeError, "not a signal");
  });
}

Deno.test("signalNames() are without SIG", () => {
  assertEquals(signalNames().slice(0, 3), ["HUP", "INT", "QUIT"]);
});

Deno.test("signalName() is the name with SIG", () => {
  assertEquals(signalName(9), "SIGKILL");
});

Deno.test("signalName() says the number of a signal without a name", () => {
  assertEquals(signalName(40), "signal 40");
});
