import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertThrows } from "@std/assert/throws";
import {
  LOG_ALERT,
  LOG_DEBUG,
  LOG_ERR,
  LOG_NOTICE,
  LOG_WARNING,
  syslog,
} from "../../ffi/syslog.ts";
import { ask, CANNOT_UNSHARE, ROOT } from "../program.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

Deno.test("syslog() refuses a NUL in the name and in the message", () => {
  assertThrows(() => syslog("tend-test\0", LOG_DEBUG, ""), TypeError, "NUL");
  assertThrows(() => syslog("tend-test", LOG_DEBUG, "\0"), TypeError, "NUL");
});

Deno.test({
  name:
    "syslog() sends the name, the pid and the message as it is, with its priority",
  ignore: CANNOT_UNSHARE,
  fn: async () => {
    await using box = await Sandbox.create();
    const answer = await askBesideDevLog(
      box,
      `
      syslog("web", ${LOG_WARNING}, "100 %s %n done");
      console.log(await receive());`,
    );
    // 24 is the facility of daemons.
    assertMatch(answer, /^<28>.* web\[\d+\]: 100 %s %n done$/);
  },
});

Deno.test({
  name: "syslog() leaves no descriptor open",
  ignore: CANNOT_UNSHARE,
  fn: async () => {
    await using box = await Sandbox.create();
    const answer = await askBesideDevLog(
      box,
      `
      const fds = () => [...Deno.readDirSync("/proc/self/fd")].length;
      const before = fds();
      syslog("web", ${LOG_ERR}, "text");
      console.log(fds() - before);`,
    );
    assertEquals(answer, "0");
  },
});

Deno.test({
  name: "syslog() passes over that nobody listens",
  ignore: CANNOT_UNSHARE,
  fn: async () => {
    await using box = await Sandbox.create();
    const answer = await askBesideDevLog(
      box,
      `
      listener.close();
      Deno.removeSync("/dev/log");
      const fds = () => [...Deno.readDirSync("/proc/self/fd")].length;
      const before = fds();
      syslog("web", ${LOG_ERR}, "text");
      console.log(fds() - before);`,
    );
    assertEquals(answer, "0");
  },
});

Deno.test("LOG_ALERT and the others have the numbers of RFC 5424", () => {
  assertEquals(
    [LOG_ALERT, LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_DEBUG],
    [1, 3, 4, 5, 7],
  );
});

/** Runs a program that listens at a /dev/log of its own. */
function askBesideDevLog(box: Sandbox, source: string): Promise<string> {
  const dev = box.path("dev");
  const mounts = `
    mkdir ${dev}
    for file in null zero urandom random; do
      : >${dev}/$file
      mount --bind /dev/$file ${dev}/$file
    done
    mount --rbind ${dev} /dev
    exec "$@"`;
  return ask(
    box,
    `
    import { syslog } from "${ROOT}/ffi/syslog.ts";
    const listener = Deno.listenDatagram({ transport: "unixpacket", path: "/dev/log" });
    const receive = async () => {
      const [bytes] = await listener.receive();
      return new TextDecoder().decode(bytes);
    };
    ${source}
    try { listener.close(); } catch {}`,
    {
      under: ["unshare", "-Urm", "sh", "-ec", mounts, "sh"],
      deno: ["-A", "--unstable-net"],
    },
  );
}
