import { assertEquals } from "@std/assert/equals";
import { abstractAddress, sendDatagram } from "../../ffi/socket.ts";
import { getresgid, getresuid } from "../../ffi/user.ts";
import { fdsOf, freeze } from "../proc.ts";
import { Sandbox } from "../sandbox.ts";
import { fifo, Sleeper, wake } from "../sleepers.ts";
import "../open_libc.ts";

/** In seconds: the interval that was begun, and the one that a ping begins. */
const [FIRST, NEXT] = [1000, 2000];

/** A sleeper that answers the pings of a daemon, which is this process. */
class Answering {
  readonly sleeper: Sleeper;
  readonly #box: Sandbox;
  readonly #name: string;

  private constructor(box: Sandbox, sleeper: Sleeper, name: string) {
    this.#box = box;
    this.sleeper = sleeper;
    this.#name = name;
  }

  static async start(
    box: Sandbox,
    { uid = getresuid().real, gid = getresgid().real } = {},
    watched: readonly string[] = [fifo("wake")],
  ): Promise<Answering> {
    const name = `tend/test/${crypto.randomUUID()}`;
    const sleeper = await Sleeper.start(box, {
      before: `
        const socketFd = datagramSocket("${name}");
        const timerFd = intervalTimerfd();
        setTimerInterval(timerFd, ${FIRST * 1000});`,
      watched: [...watched, "socketFd", "timerFd"],
      pings: `{
        socketFd, timerFd, interval: ${NEXT * 1000},
        sender: { uid: ${uid}, gid: ${gid} },
      }`,
      // What is there is there for the program that it starts.
      argv: ["sh", "-c", "echo awake"],
    });
    return new Answering(box, sleeper, name);
  }

  /** Sends messages, as the kernel takes them from anybody. */
  send(...messages: readonly string[]): void {
    for (const message of messages) {
      sendDatagram(abstractAddress(this.#name), message, 10_000);
    }
  }

  /** How long its interval is, in seconds. */
  interval(): number {
    const { pid } = this.sleeper;
    const fds = [...fdsOf(pid)];
    const [fd] = fds.find(([, file]) => file.includes("[timerfd]"))!;
    const info = this.#box.read(`/proc/${pid}/fdinfo/${fd}`)!;
    return Number(/^it_interval: \((\d+),/m.exec(info)![1]);
  }

  /** Waits until a ping has begun an interval, and it sleeps on. */
  async answers(): Promise<void> {
    await this.#box.until("a ping is answered", () => this.interval() === NEXT);
    await this.sleeper.asleep();
  }

  /** Waits until it has woken up, and is told so. */
  async wakes(): Promise<void> {
    const { stdout, stderr } = await this.sleeper.finished();
    assertEquals([stdout, stderr], ["awake\n", ""]);
  }
}

for (const ping of ["WATCHDOG=1", "WATCHDOG=1\n"]) {
  Deno.test(`sleeperImage() answers ${JSON.stringify(ping)} and sleeps on`, async () => {
    await using box = await Sandbox.create();
    const answering = await Answering.start(box);
    assertEquals(answering.interval(), FIRST);
    answering.send(ping);
    await answering.answers();
    // As often as it comes, and no more is in the socket then.
    for (let i = 0; i < 1000; i++) answering.send(ping);
    await answering.answers();
    wake(box);
    await answering.wakes();
  });
}

Deno.test("sleeperImage() takes what systemd-notify waits for, which is no ping", async () => {
  await using box = await Sandbox.create();
  const answering = await Answering.start(box);
  // The last ones have room for no more until the first are taken.
  for (let i = 0; i < 1000; i++) answering.send("BARRIER=1");
  await answering.sleeper.asleep();
  assertEquals(answering.interval(), FIRST);
  answering.send("WATCHDOG=1", "BARRIER=1");
  await answering.answers();
});

const OTHERS: readonly (readonly string[])[] = [
  [""],
  ["W"],
  ["WATCHDOG"],
  ["WATCHDOG=2"],
  ["WATCHDOG=1x"],
  ["XATCHDOG=1"],
  ["WATCHDOG=1\n\n"],
  ["WATCHDOG=1\nREADY=1"],
  ["WATCHDOG=trigger"],
  ["BARRIER=2"],
  ["STATUS=fine"],
  // What is left of a longer one makes no ping of a shorter one.
  ["WATCHDOG=1", "WATCHDOG="],
  ["WATCHDOG=1\n", "WATCHDOG"],
  ["BARRIER=1", "WATCHDOG=1", "BARRIER="],
];
for (const messages of OTHERS) {
  Deno.test(`sleeperImage() wakes up by ${JSON.stringify(messages)}`, async () => {
    await using box = await Sandbox.create();
    const answering = await Answering.start(box);
    answering.send(...messages);
    await answering.wakes();
  });
}

for (const other of [{ uid: 12345 }, { gid: 12345 }]) {
  Deno.test(`sleeperImage() wakes up by the ping of another ${Object.keys(other)}`, async () => {
    await using box = await Sandbox.create();
    const answering = await Answering.start(box, other);
    answering.send("WATCHDOG=1");
    await answering.wakes();
  });
}

Deno.test("sleeperImage() wakes up by what comes beside pings", async () => {
  await using box = await Sandbox.create();
  const watched = [fifo("one"), fifo("two")];
  const answering = await Answering.start(box, {}, watched);
  await freeze(box, answering.sleeper.pid);
  // Both are there when it looks again.
  answering.send("WATCHDOG=1");
  wake(box, "two");
  Deno.kill(answering.sleeper.pid, "SIGCONT");
  await answering.wakes();
});

Deno.test("sleeperImage() wakes up when an interval is over without a ping", async () => {
  await using box = await Sandbox.create();
  const sleeper = await Sleeper.start(box, {
    before: `
      const socketFd = datagramSocket("tend/test/${crypto.randomUUID()}");
      const timerFd = intervalTimerfd();
      setTimerInterval(timerFd, 500);`,
    watched: ["socketFd", "timerFd"],
    pings: `{
      socketFd, timerFd, interval: 1000, sender: { uid: 0, gid: 0 },
    }`,
    argv: ["sh", "-c", "echo awake"],
  });
  assertEquals((await sleeper.finished()).stdout, "awake\n");
});
