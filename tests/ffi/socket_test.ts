import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { LibcError } from "../../ffi/libc.ts";
import {
  abstractAddress,
  accepts,
  datagramSocket,
  LONGEST_SOCKET_PATH,
  receive,
  sendDatagram,
  tcpAddress,
  unixAddress,
} from "../../ffi/socket.ts";
import { geteuid } from "../../ffi/user.ts";
import { disposable, openFdCount } from "../descriptors.ts";
import { freePort } from "../ready.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

for (const hostname of ["127.0.0.1", "::1"]) {
  Deno.test(`accepts() is true for ${hostname} while somebody listens there`, () => {
    const port = freePort();
    const address = tcpAddress(hostname, port)!;
    const fds = openFdCount();
    assertEquals(accepts(address), false);
    const listener = Deno.listen({ hostname, port });
    assertEquals(accepts(address), true);
    listener.close();
    assertEquals(accepts(address), false);
    assertEquals(openFdCount(), fds);
  });
}

Deno.test("accepts() is true for a socket while somebody listens there", async () => {
  await using box = await Sandbox.create();
  const path = box.path("socket");
  assertEquals(accepts(unixAddress(path)), false);
  const listener = Deno.listen({ transport: "unix", path });
  assertEquals(accepts(unixAddress(path)), true);
  // More than it has room for, and accepts none of.
  for (let i = 0; i < 200; i++) accepts(unixAddress(path));
  assertEquals(accepts(unixAddress(path)), true);
  listener.close();
  await Deno.writeTextFile(path, "").catch(() => {});
  assertEquals(accepts(unixAddress(path)), false);
});

for (const host of ["localhost", "", "1.2.3", "1.2.3.256", ":::1", "::g"]) {
  Deno.test(`tcpAddress() knows no ${host || "empty name"}`, () =>
    assertEquals(tcpAddress(host, 80), undefined));
}

Deno.test("unixAddress() takes the longest path, and no longer one", () => {
  unixAddress("a".repeat(LONGEST_SOCKET_PATH));
  assertThrows(
    () => unixAddress("a".repeat(LONGEST_SOCKET_PATH + 1)),
    LibcError,
    "File name too long",
  );
});

/** Has Python send to an abstract socket, with what else its script says. */
async function send(name: string, script: string): Promise<void> {
  const program = `
import array, os, socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
a = "\\0${name}"
${script}`;
  const { success, stderr } = await new Deno.Command("python3", {
    args: ["-c", program],
  }).output();
  assertEquals([success, decode(stderr)], [true, ""]);
}

const LACKS_PYTHON = !new Deno.Command("sh", {
  args: ["-c", "command -v python3"],
}).outputSync().success;

Deno.test("receive() has nothing of a socket to which nobody has written", () => {
  using socket = disposable(datagramSocket(`tend/test/${crypto.randomUUID()}`));
  assertEquals(receive(socket.number, 100), undefined);
});

Deno.test("datagramSocket() throws for a name that another has", () => {
  const name = `tend/test/${crypto.randomUUID()}`;
  using _ = disposable(datagramSocket(name));
  assertThrows(() => datagramSocket(name), LibcError, "bind failed");
});

Deno.test({
  name: "receive() has messages in their order, with who has sent them",
  ignore: LACKS_PYTHON,
  fn: async () => {
    const name = `tend/test/${crypto.randomUUID()}`;
    using socket = disposable(datagramSocket(name));
    await send(name, 's.sendto(b"one", a)\ns.sendto(b"", a)');
    const uid = geteuid();
    const one = receive(socket.number, 100);
    assertEquals(one, { bytes: encode("one"), isCut: false, uid });
    const none = receive(socket.number, 100);
    assertEquals(none, { bytes: encode(""), isCut: false, uid });
    assertEquals(receive(socket.number, 100), undefined);
  },
});

Deno.test({
  name: "receive() says when a message has no room",
  ignore: LACKS_PYTHON,
  fn: async () => {
    const name = `tend/test/${crypto.randomUUID()}`;
    using socket = disposable(datagramSocket(name));
    await send(name, 's.sendto(b"12345678", a)\ns.sendto(b"1234", a)');
    const first = receive(socket.number, 4)!;
    assertEquals([decode(first.bytes), first.isCut], ["1234", true]);
    const second = receive(socket.number, 4)!;
    assertEquals([decode(second.bytes), second.isCut], ["1234", false]);
  },
});

Deno.test({
  name: "receive() takes no descriptor that is sent along",
  ignore: LACKS_PYTHON,
  fn: async () => {
    const name = `tend/test/${crypto.randomUUID()}`;
    using socket = disposable(datagramSocket(name));
    const fds = openFdCount();
    await send(
      name,
      `f = array.array("i", [os.open("/dev/null", 0)] * 150)
s.sendmsg([b"fds"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, f)], 0, a)`,
    );
    assertEquals(decode(receive(socket.number, 100)!.bytes), "fds");
    assertEquals(openFdCount(), fds);
  },
});

Deno.test("sendDatagram() sends to who has the name, with who we are", async () => {
  await using box = await Sandbox.create();
  const name = `tend/test/${crypto.randomUUID()}`;
  using socket = disposable(datagramSocket(name));
  const fds = openFdCount();
  sendDatagram(abstractAddress(name), "one", 1000);
  assertEquals(receive(socket.number, 100), {
    bytes: encode("one"),
    isCut: false,
    uid: geteuid(),
  });
  const isRefused = "sendto failed (Connection refused)";
  const nobody = abstractAddress(`${name}/other`);
  assertThrows(() => sendDatagram(nobody, "one", 1000), LibcError, isRefused);
  assertThrows(
    () => sendDatagram(unixAddress(box.path("none")), "one", 1000),
    LibcError,
    "sendto failed (No such file or directory)",
  );
  assertEquals(openFdCount(), fds);
});

Deno.test("sendDatagram() does not wait for ever for room", () => {
  const name = `tend/test/${crypto.randomUUID()}`;
  using _ = disposable(datagramSocket(name));
  assertThrows(
    () => {
      for (;;) sendDatagram(abstractAddress(name), "one", 5);
    },
    LibcError,
    "sendto failed (Resource temporarily unavailable)",
  );
});

Deno.test("abstractAddress() takes the longest name, and no longer one", () => {
  abstractAddress("a".repeat(LONGEST_SOCKET_PATH));
  assertThrows(
    () => abstractAddress("a".repeat(LONGEST_SOCKET_PATH + 1)),
    LibcError,
    "File name too long",
  );
});
