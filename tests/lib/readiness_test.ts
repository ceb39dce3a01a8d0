import { assertEquals } from "@std/assert/equals";
import type { Readiness } from "../../lib/monitor_state.ts";
import { addressesOf, describeReadiness, inUse } from "../../lib/readiness.ts";
import { freePort } from "../ready.ts";
import "../open_libc.ts";

const WORDS: readonly [Readiness["how"], operand: string, words: string][] = [
  ["notify", "", "READY=1"],
  ["fd", "3", "a newline on descriptor 3"],
  ["tcp", "[::1]:80", "tcp [::1]:80"],
  ["unix", "/run/s", "unix /run/s"],
  ["file", "/run/f", "file /run/f"],
  ["delay", "1500", "1.5 s to pass"],
];

for (const [how, operand, words] of WORDS) {
  Deno.test(`describeReadiness() says what is waited for by ${how}`, () =>
    assertEquals(describeReadiness({ how, operand, timeout: 1 }), words));
}

const TCP: readonly [operand: string, count: number | undefined][] = [
  ["80", 2],
  ["localhost:80", 2],
  ["127.0.0.1:80", 1],
  ["[::1]:65535", 1],
  ["0.0.0.0:1", 1],
  ["0", undefined],
  ["65536", undefined],
  ["-1", undefined],
  ["80 ", undefined],
  [":80", undefined],
  ["example.org:80", undefined],
  ["::1", undefined],
  ["[127.0.0.1]:80", undefined],
  ["[localhost]:80", undefined],
  ["127.0.0.1:80:80", undefined],
];

for (const [operand, count] of TCP) {
  Deno.test(`addressesOf() has ${count ?? "no"} addresses of tcp ${operand}`, () =>
    assertEquals(addressesOf({ how: "tcp", operand })?.length, count));
}

Deno.test("inUse() says so for an address alone on which somebody listens", () => {
  const port = freePort();
  const ready = { how: "tcp", operand: `${port}`, timeout: 1 } as const;
  assertEquals(inUse(ready), undefined);
  using _ = Deno.listen({ hostname: "::1", port });
  assertEquals(inUse(ready), `tcp ${port} is in use already`);
  assertEquals(inUse({ ...ready, operand: `127.0.0.1:${port}` }), undefined);
  assertEquals(inUse({ ...ready, how: "fd", operand: "3" }), undefined);
});
