import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { fromBytes, toBytes } from "../../ffi/c_string.ts";
import { waitpid } from "../../ffi/child.ts";
import { close, pipe2, read } from "../../ffi/descriptor.ts";
import { environment } from "../../ffi/environment.ts";
import { getrlimit, RLIMIT_CORE, setrlimit } from "../../ffi/limit.ts";
import { setSignalMask, Signal } from "../../ffi/signal.ts";
import { Launcher } from "../../lib/launch.ts";
import type { Command, OutputFile } from "../../lib/monitor_state.ts";
import { Child } from "../children.ts";
import { openFdCount } from "../descriptors.ts";
import {
  childrenThatEnded,
  command,
  LaunchedChild,
  launchSleep,
  leavePidfile,
  SLEEP,
} from "../launched.ts";
import { fdsOf, look, signalsIn } from "../proc.ts";
import { ask, ROOT } from "../program.ts";
import { Sandbox } from "../sandbox.ts";
import { makeFifo } from "../sleepers.ts";
import "../open_libc.ts";

const NOT_UTF8 = Uint8Array.of(0xff, 0x80);

function bytesOf(pid: number, file: "cmdline" | "environ"): Uint8Array {
  return Deno.readFileSync(`/proc/${pid}/${file}`);
}

/** Strings with a NUL behind each, as `/proc` has them. */
function terminated(strings: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(strings.flatMap((string) => [...string, 0]));
}

Deno.test("launch() gives the command no descriptor but the pidfile's", async () => {
  await using box = await Sandbox.create();
  const path = leavePidfile(box.path("pid"));
  using other = new Child("sleep", "600");
  using child = launchSleep(path);
  const fds = fdsOf(await child.settled(box));
  const pidfiles = [...fds].filter(([, to]) => to === path);
  assertEquals(pidfiles.length, 1);
  fds.delete(pidfiles[0]![0]);
  assertEquals(fds, fdsOf(other.pid));
});

Deno.test("launch() without a pidfile gives the command nothing of ours", async () => {
  await using box = await Sandbox.create();
  using other = new Child("sleep", "600");
  using child = launchSleep(undefined);
  assertEquals(fdsOf(await child.settled(box)), fdsOf(other.pid));
});

Deno.test("launch() passes arguments on as they are", async () => {
  await using box = await Sandbox.create();
  const argv = [toBytes("two words"), toBytes("600"), toBytes(""), NOT_UTF8];
  // A shell takes any, and stays.
  const shell = ["sh", "-c", "while :; do sleep 9; done"].map(toBytes);
  const command = {
    path: toBytes("/bin/sh"),
    argv: [...shell, ...argv],
    ignored: [],
    surroundings: undefined,
    outputs: undefined,
  };
  using child = new LaunchedChild(new Launcher(command, undefined));
  const pid = await child.settled(box);
  assertEquals(bytesOf(pid, "cmdline"), terminated(command.argv));
});

Deno.test("launch() gives the command the environment of that moment", async () => {
  await using box = await Sandbox.create();
  const launcher = new Launcher(SLEEP, undefined);
  Deno.env.set("TEND_TEST_LAUNCH", "since it was prepared");
  const before = environment();
  using child = new LaunchedChild(launcher);
  Deno.env.delete("TEND_TEST_LAUNCH");
  assertEquals(
    bytesOf(await child.settled(box), "environ"),
    terminated(before),
  );
});

Deno.test("launch() holds back no signal in the command, and in us the same as before", () => {
  const ours = [Signal.SIGTERM, Signal.SIGUSR1];
  setSignalMask(ours);
  using child = launchSleep(undefined);
  const status = Deno.readTextFileSync("/proc/thread-self/status");
  setSignalMask([]);
  assertEquals(signalsIn(child.pid, "SigBlk"), []);
  const mask = /^SigBlk:\s*(.*)$/m.exec(status)?.[1];
  const bits = ours.reduce((bits, signal) => bits | 1 << (signal - 1), 0);
  assertEquals(parseInt(mask!, 16), bits);
});

for (
  const ignored of [[], [Signal.SIGPIPE], [Signal.SIGPIPE, Signal.SIGCHLD]]
) {
  Deno.test(`launch() ignores ${ignored.join() || "nothing"} in the command, as its caller did`, () => {
    using child = new LaunchedChild(
      new Launcher(command(["/bin/sleep", "600"], ignored), undefined),
    );
    // Deno has SIGPIPE ignored; the tests' own caller may have had others.
    const others = signalsIn(Deno.pid, "SigIgn")
      .filter((signal) => signal !== Signal.SIGPIPE);
    const expected = new Set([...others, ...ignored]);
    assertEquals(new Set(signalsIn(child.pid, "SigIgn")), expected);
    assertEquals(signalsIn(child.pid, "SigCgt"), []);
  });
}

Deno.test("launch() keeps a signal ignored that our caller has ignored", async () => {
  await using box = await Sandbox.create();
  const said = await ask(
    box,
    `
    import { waitpid } from "${ROOT}/ffi/child.ts";
    import { Launcher } from "${ROOT}/lib/launch.ts";
    import { command } from "${ROOT}/tests/launched.ts";
    const argv = ["/bin/grep", "SigIgn", "/proc/self/status"];
    const { pid } = new Launcher(command(argv), undefined).launch(false);
    waitpid(pid);`,
    { under: ["sh", "-c", 'trap "" HUP QUIT; exec "$@"', "sh"] },
  );
  const mask = BigInt(`0x${said.split("\t")[1]}`);
  // One that would end a process, one that would dump core. 32 is of libc's
  // own, ignored in all that it spawns.
  assertEquals(mask & 0x7fff_ffffn, 0b101n);
});

function coreLimits(pid: number): string[] {
  const limits = Deno.readTextFileSync(`/proc/${pid}/limits`);
  return /^Max core file size\s+(\S+)\s+(\S+)/m.exec(limits)!.slice(1);
}

Deno.test("launch() forbids core dumps by the soft limit, and only when it is to", () => {
  const before = getrlimit(RLIMIT_CORE);
  const { hard } = before;
  const launcher = new Launcher(SLEEP, undefined);
  setrlimit(RLIMIT_CORE, { soft: hard, hard });
  using first = new LaunchedChild(launcher);
  using second = new LaunchedChild(launcher, true);
  using third = new LaunchedChild(launcher);
  const ours = getrlimit(RLIMIT_CORE);
  setrlimit(RLIMIT_CORE, before);
  const [soft, most] = coreLimits(first.pid);
  assertEquals(soft, most);
  assertEquals(coreLimits(second.pid), ["0", most]);
  assertEquals(coreLimits(third.pid), [soft, most]);
  assertEquals(ours, { soft: hard, hard });
});

Deno.test("launch() leaves the command in our directory, with our standard descriptors", async () => {
  await using box = await Sandbox.create();
  using child = launchSleep(undefined);
  const pid = await child.settled(box);
  assertEquals(Deno.readLinkSync(`/proc/${pid}/cwd`), Deno.cwd());
  const standard = (pid: number) => [0, 1, 2].map((fd) => fdsOf(pid).get(fd));
  assertEquals(standard(pid), standard(Deno.pid));
});

Deno.test("launch() says of a command that ends at once that it was ready", () => {
  const launcher = new Launcher(command(["/bin/false"]), undefined);
  for (let i = 0; i < 100; i++) {
    const launched = launcher.launch(false);
    assert(launched.kind === "ready");
    assertEquals(waitpid(launched.pid), { kind: "exited", code: 1 });
  }
});

Deno.test("launch() leaves us no descriptor and no child", async () => {
  await using box = await Sandbox.create();
  const path = leavePidfile(box.path("pid"));
  for (const pidfile of [path, undefined]) {
    const before = openFdCount();
    const launcher = new Launcher(SLEEP, pidfile);
    for (let i = 0; i < 20; i++) {
      using _child = new LaunchedChild(launcher);
    }
    assertEquals(openFdCount(), before);
    assertEquals(childrenThatEnded(), []);
  }
});

/** A command that writes to both streams and stays. */
function writes(files: OutputFile[]): Command {
  const shell = ["/bin/sh", "-c", "echo a; echo b >&2; exec sleep 600"];
  return {
    ...command(shell as [string, ...string[]]),
    outputs: { files, logging: undefined },
  };
}

for (const streams of ["both", "stdout", "stderr"] as const) {
  Deno.test(`launch() has ${streams} of the command appended to a file`, async () => {
    await using box = await Sandbox.create();
    const file = box.path("file");
    Deno.writeTextFileSync(file, "0\n");
    const output = { streams, file: toBytes(file) };
    const before = openFdCount();
    const launcher = new Launcher(writes([output]), undefined);
    using other = new Child("sleep", "600");
    using child = new LaunchedChild(launcher);
    const text = { both: "0\na\nb\n", stdout: "0\na\n", stderr: "0\nb\n" };
    await box.until("it has written", () => box.read(file) === text[streams]);
    await child.settled(box);
    const fds = fdsOf(other.pid);
    if (streams !== "stderr") fds.set(1, file);
    if (streams !== "stdout") fds.set(2, file);
    assertEquals(fdsOf(child.pid), fds);
    assertEquals(openFdCount(), before);
  });
}

Deno.test("launch() declines when a file for output is another, none, or a FIFO that nobody reads", async () => {
  await using box = await Sandbox.create();
  const file = box.path("file");
  const output = { streams: "both", file: toBytes(file) } as const;
  const launch = (launcher: Launcher) => launcher.launch(false).kind;
  assertEquals(launch(new Launcher(writes([output]), undefined)), "declined");
  Deno.writeTextFileSync(file, "");
  const launcher = new Launcher(writes([output]), undefined);
  Deno.renameSync(file, box.path("moved"));
  assertEquals(launch(launcher), "declined");
  Deno.writeTextFileSync(file, "");
  assertEquals(launch(launcher), "declined");
  Deno.removeSync(file);
  await makeFifo(box, "file");
  assertEquals(launch(launcher), "declined");
  Deno.removeSync(file);
  Deno.symlinkSync(box.path("moved"), file);
  assertEquals(launch(launcher), "declined");
  assertEquals(box.read(box.path("moved")), "");
  assertEquals(childrenThatEnded(), []);
});

Deno.test("launch() has the command write to what leads to its loggers", async () => {
  await using box = await Sandbox.create();
  const file = toBytes(box.path("file"));
  const outputs = (["stdout", "stderr"] as const).map((streams) => ({
    streams,
    file,
  }));
  const pipes = outputs.map(() => pipe2());
  const launcher = new Launcher(
    writes(outputs),
    undefined,
    pipes.map(({ writeFd }) => writeFd),
  );
  using _child = new LaunchedChild(launcher);
  const texts = pipes.map(({ readFd }) => {
    const bytes = new Uint8Array(9);
    return fromBytes(bytes.subarray(0, read(readFd, bytes)));
  });
  assertEquals(texts, ["a\n", "b\n"]);
  assertEquals(box.exists(box.path("file")), false);
  pipes.flatMap(({ readFd, writeFd }) => [readFd, writeFd]).forEach(close);
});

for (const leads of [true, false]) {
  Deno.test(`launch() ${leads ? "has" : "does not have"} the command lead a process group`, () => {
    using child = new LaunchedChild(new Launcher(SLEEP, undefined, [], leads));
    assertEquals(
      look(child.pid)!.pgrp,
      leads ? child.pid : look(Deno.pid)!.pgrp,
    );
  });
}
