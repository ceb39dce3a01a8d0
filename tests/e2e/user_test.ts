/** COMMAND as another user. */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import {
  logOf,
  MONITORED,
  request,
  SLEEPY,
  successorOf,
  untilAsleep,
} from "../monitored.ts";
import { isAlive, parentOf } from "../proc.ts";
import { Sandbox, TEND } from "../sandbox.ts";

const IS_ROOT = Deno.uid() === 0;
const NOBODY = 65534;

/** A user of the system's own who is not root, and has an entry. */
const USER = ["games", "daemon", "nobody"].map((name) =>
  /^(\w+):[^:]*:(\d+):(\d+):[^:]*:([^:]*):([^:]*)$/m.exec(
    Deno.readTextFileSync("/etc/passwd").split("\n")
      .find((line) => line.startsWith(`${name}:`)) ?? "",
  )
).find((match) => match !== null)!;
const [, NAME, UID, GID, HOME, SHELL] = USER as unknown as string[];

/** A sandbox that everybody may look into. */
async function openBox(): Promise<Sandbox> {
  const box = await Sandbox.create();
  if (IS_ROOT) Deno.chmodSync(box.dir, 0o755);
  return box;
}

function asRoot(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, ignore: !IS_ROOT, fn });
}

function status(text: string, name: string): string {
  return RegExp(`^${name}:[ \\t]*(.*?)[ \\t]*$`, "m").exec(text)![1]!;
}

function statusOf(pid: number, name: string): string {
  return status(Deno.readTextFileSync(`/proc/${pid}/status`), name);
}

const FOUR = (id: string) => Array(4).fill(id).join("\t");

const MODES = [
  [],
  ["--pidfile=web.pid"],
  ["--monitor"],
  ["--monitor", "--pidfile=web.pid"],
];
for (const mode of MODES) {
  asRoot(
    `${["tend", ...mode].join(" ")} --user gives up root, all of it`,
    async () => {
      await using box = await openBox();
      const { code, stdout, stderr } = await box.tend(
        ...[...mode, "-v=console:err", `--user=${NAME}`],
        ...["--", "cat", "/proc/self/status"],
      );
      assertEquals({ code, stderr }, { code: 0, stderr: "" });
      assertEquals(status(stdout, "Uid"), FOUR(UID!));
      assertEquals(status(stdout, "Gid"), FOUR(GID!));
      assert(!status(stdout, "Groups").split(" ").includes("0"));
      for (const set of ["CapPrm", "CapEff", "CapAmb"]) {
        assertEquals(status(stdout, set), "0".repeat(16), set);
      }
      assertEquals(box.runFiles(), []);
    },
  );
}

asRoot("tend --user refuses where root could be had back", async () => {
  await using box = await openBox();
  for (const mode of [[], MONITORED]) {
    const { code, stderr } = await box.run([
      ...["setpriv", "--securebits=+no_setuid_fixup", TEND, ...mode],
      ...[`--user=${NAME}`, "--", "sleep", "600"],
    ]);
    assertEquals(code, 1);
    assertEquals(
      stderr,
      "tend: option --user: the process could become root again " +
        "(are securebits set?)\n",
    );
    assertEquals([box.processes(), box.runFiles()], [[], []]);
  }
});

asRoot(
  "tend --user sets HOME, USER, LOGNAME and SHELL, and no other",
  async () => {
    await using box = await openBox();
    const script = 'echo "$HOME|$USER|$LOGNAME|$SHELL|$OTHER"';
    const argv = [TEND, `--user=${NAME}`, "--", "sh", "-c", script];
    const env = { HOME: "/root", USER: "root", OTHER: "other" };
    const { stdout } = await box.run(argv, { env });
    assertEquals(stdout, `${[HOME, NAME, NAME, SHELL].join("|")}|other\n`);
  },
);

asRoot("tend --user --env: what is said wins over the user's", async () => {
  await using box = await openBox();
  const { stdout } = await box.tend(
    ...["--env=HOME=/x", `--user=${NAME}`, "--clear-env"],
    ...["--", "/usr/bin/env"],
  );
  assertEquals(
    stdout.trimEnd().split("\n").sort(),
    ["HOME=/x", `LOGNAME=${NAME}`, `SHELL=${SHELL}`, `USER=${NAME}`],
  );
});

asRoot(
  "tend --user takes the user's supplementary groups, not root's",
  async () => {
    await using box = await openBox();
    const expected = new Deno.Command("id", { args: ["-G", NAME!] })
      .outputSync().stdout;
    const { stdout } = await box.run([
      ...["setpriv", "--groups=0,4,20", TEND, `--user=${NAME}`],
      ...["--", "id", "-G"],
    ]);
    assertEquals(stdout, new TextDecoder().decode(expected));
  },
);

asRoot(
  "tend --user=USER:GROUP takes another group, by name or number",
  async () => {
    await using box = await openBox();
    const [, group, gid] = /^(tty|mail|adm):[^:]*:(\d+)/m.exec(
      Deno.readTextFileSync("/etc/group"),
    )!;
    for (const [user, word] of [[NAME, group], [UID, gid]]) {
      const { stdout } = await box.tend(
        ...[`--user=${user}:${word}`, "--", "sh", "-c", "id -u; id -g"],
      );
      assertEquals(stdout, `${UID}\n${gid}\n`);
    }
  },
);

asRoot(
  "tend --user takes a number that the system does not know, with a group",
  async () => {
    await using box = await openBox();
    const { stdout } = await box.tend(
      ...["--user=4294967294:4294967293", "--", "sh", "-c"],
      'grep -E "^(Uid|Gid|Groups)" /proc/self/status; echo "$HOME|$USER|$SHELL"',
    );
    assertEquals(
      stdout.replaceAll(/ *\n/g, "\n"),
      `Uid:\t${FOUR("4294967294")}\nGid:\t${FOUR("4294967293")}\n` +
        "Groups:\t4294967293\n/|4294967294|/bin/sh\n",
    );
  },
);

for (const sleepAfter of ["0", "never"]) {
  asRoot(
    `tend --sleep-after=${sleepAfter} --user: the monitor is root's, each daemon the user's, and nothing is left`,
    async () => {
      await using box = await openBox();
      const { code, stderr } = await box.tend(
        ...[...SLEEPY, `--sleep-after=${sleepAfter}`, `--user=${NAME}`],
        ...["--", "sleep", "600"],
      );
      assertEquals({ code, stderr }, { code: 0, stderr: "" });
      let daemon = box.pidfile("web.pid")!;
      const monitor = parentOf(daemon);
      for (let i = 0; i < 3; i++) {
        assertEquals(statusOf(daemon, "Uid"), FOUR(UID!));
        assertEquals(statusOf(monitor, "Uid"), FOUR("0"));
        assertEquals(box.holder("web.pid"), daemon);
        const { uid, mode } = Deno.statSync(box.runPath("web.pid"));
        assertEquals([uid, mode! & 0o7777], [0, 0o644]);
        if (sleepAfter === "0") await untilAsleep(box, monitor);
        if (i === 0) Deno.kill(daemon, "SIGSEGV");
        else request(box, "restart");
        daemon = await successorOf(daemon, box);
      }
      Deno.kill(monitor, "SIGTERM");
      await box.until(
        "both have ended",
        () => !isAlive(monitor) && !isAlive(daemon),
      );
      assertEquals(box.runFiles(), []);
    },
  );
}

asRoot(
  "tend --user removes the pidfile when the command ends by itself",
  async () => {
    await using box = await openBox();
    const { code } = await box.tend(
      ...["--pidfile=web.pid", `--user=${NAME}`, "--", "sh", "-c", "exit 3"],
    );
    assertEquals([code, box.runFiles()], [3, []]);
  },
);

asRoot(
  "tend --user refuses a COMMAND that the user may not execute, and leaves nothing",
  async () => {
    for (const mode of [MONITORED, ["--pidfile=web.pid", "--exec"], []]) {
      await using box = await openBox();
      Deno.writeTextFileSync(box.path("own"), "#!/bin/sh\n", { mode: 0o700 });
      const { code, stderr } = await box.tend(
        ...[...mode, `--user=${NAME}`, "--", box.path("own")],
      );
      assertEquals(code, 126);
      assertEquals(
        stderr,
        `tend: ${box.path("own")}: exec failed (Permission denied)\n`,
      );
      assertEquals([box.runFiles(), box.processes()], [[], []]);
    }
  },
);

asRoot(
  "tend --user --chdir refuses a directory that the user may not enter",
  async () => {
    await using box = await openBox();
    Deno.mkdirSync(box.path("own"), { mode: 0o700 });
    const { code, stderr } = await box.tend(
      ...[...MONITORED, `--user=${NAME}`, `--chdir=${box.path("own")}`],
      ...["--", "sleep", "600"],
    );
    assertEquals(code, 1);
    assertStringIncludes(stderr, "own: chdir failed (Permission denied)");
    assertEquals([box.runFiles(), box.processes()], [[], []]);
  },
);

asRoot(
  "tend --user logs why a later daemon could not be started, though the log is root's",
  async () => {
    await using box = await openBox();
    Deno.copyFileSync("/bin/sleep", box.path("web"));
    Deno.chmodSync(box.path("web"), 0o755);
    await box.tend(...SLEEPY, `--user=${NAME}`, "--", box.path("web"), "600");
    const first = box.pidfile("web.pid")!;
    Deno.chmodSync(box.path("web"), 0o700);
    Deno.kill(first, "SIGSEGV");
    await box.until(
      "the log says it",
      () => logOf(box).includes("web: exec failed (Permission denied)"),
    );
    assert(!logOf(box).includes("could not unlink"), logOf(box));
  },
);

asRoot("tend --user makes a pidfile in the user's own directory", async () => {
  await using box = await openBox();
  Deno.mkdirSync(box.path("own"));
  Deno.chownSync(box.path("own"), Number(UID), Number(GID));
  const pidfile = box.path("own/web.pid");
  await box.tend(
    ...["--detach", "--monitor", `--pidfile=${pidfile}`, `--user=${NAME}`],
    ...["--", "sleep", "600"],
  );
  const daemon = box.pidIn(pidfile)!;
  assertEquals(statusOf(daemon, "Uid"), FOUR(UID!));
  Deno.kill(parentOf(daemon), "SIGTERM");
  await box.until("it has ended", () => !isAlive(daemon));
  await box.until(
    "nothing is left",
    () => [...Deno.readDirSync(box.path("own"))].length === 0,
  );
});

asRoot(
  "tend --user follows no link that the user has put for the pidfile",
  async () => {
    for (const name of ["web.pid.tmp", "web.pid.monitor"]) {
      await using box = await openBox();
      Deno.mkdirSync(box.path("own"));
      Deno.writeTextFileSync(box.path("victim"), "precious\n");
      Deno.symlinkSync(box.path("victim"), box.path(`own/${name}`));
      Deno.chownSync(box.path("own"), Number(UID), Number(GID));
      const { code } = await box.tend(
        ...["--detach", "--monitor", `--pidfile=${box.path("own/web.pid")}`],
        ...[`--user=${NAME}`, "--", "sleep", "600"],
      );
      assertEquals(code, 1);
      assertEquals(box.read(box.path("victim")), "precious\n");
      assertEquals(box.processes(), []);
    }
  },
);

for (
  const [option, what] of [
    ["--pidfile=own/below/web.pid", "a pidfile below a directory"],
    ["--log-file=own/web.log", "a log in a directory"],
  ] as const
) {
  asRoot(`tend --user refuses ${what} that is the user's`, async () => {
    await using box = await openBox();
    Deno.mkdirSync(box.path("own/below"), { recursive: true });
    Deno.chownSync(box.path("own"), Number(UID), Number(GID));
    const { code, stderr } = await box.tend(
      ...["--detach", option.replace("=", `=${box.dir}/`), `--user=${NAME}`],
      ...["--", "sleep", "600"],
    );
    assertEquals(code, 1);
    assertStringIncludes(stderr, `${box.path("own")}, where one could be`);
    assertEquals(box.processes(), []);
    assertEquals([...Deno.readDirSync(box.path("own"))].length, 1);
  });
}

asRoot(
  "tend --no-new-privileges has a set-user-ID program give COMMAND nothing",
  async () => {
    await using box = await openBox();
    Deno.copyFileSync("/bin/cat", box.path("cat"));
    Deno.chmodSync(box.path("cat"), 0o4755);
    const effective = async (...options: string[]) => {
      const { stdout } = await box.tend(
        ...[`--user=${NAME}`, ...options, "--", box.path("cat")],
        "/proc/self/status",
      );
      return status(stdout, "Uid").split("\t")[1];
    };
    assertEquals(await effective("--no-new-privileges"), UID);
    // Else the program would have been root's, unless /tmp forbids that.
    assert([UID, "0"].includes(await effective()));
  },
);

/** Runs tend as somebody who is not root. */
function ordinary(box: Sandbox, ...options: string[]) {
  const as = IS_ROOT
    ? ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"]
    : [];
  return box.run([...as, TEND, ...options]);
}

Deno.test("tend --user is refused to whoever is not root", async () => {
  await using box = await openBox();
  for (const user of ["root", "root:root", "0", `${NAME}`]) {
    const { code, stderr } = await ordinary(
      box,
      ...["--detach", `--user=${user}`, "--", "sleep", "600"],
    );
    if (user === NAME && Number(UID) === (IS_ROOT ? NOBODY : Deno.uid())) {
      continue;
    }
    assertEquals(code, 1);
    assertStringIncludes(
      stderr,
      `option --user=${user}: only root can become another user or group`,
    );
  }
  assertEquals(box.processes(), []);
});

Deno.test("tend --user takes the user that its caller is", async () => {
  await using box = await openBox();
  const [uid, gid] = IS_ROOT ? [NOBODY, NOBODY] : [Deno.uid(), Deno.gid()];
  for (const user of [`${uid}:${gid}`]) {
    const { code, stdout, stderr } = await ordinary(
      box,
      ...[`--user=${user}`, "--", "id", "-u"],
    );
    assertEquals({ code, stdout, stderr }, {
      code: 0,
      stdout: `${uid}\n`,
      stderr: "",
    });
  }
});

Deno.test("tend says what is refused to whoever is not root", async () => {
  await using box = await openBox();
  for (
    const [option, why] of [
      ["--nice=-1", "setpriority failed (Permission denied)"],
      ["--limit=nofile=1:unlimited", "cannot be raised"],
    ] as const
  ) {
    const { code, stderr } = await ordinary(
      box,
      ...["--monitor", option, "--", "true"],
    );
    assertEquals(code, 1);
    assertStringIncludes(stderr, `tend: option ${option.split("=")[0]}=`);
    assertStringIncludes(stderr, why);
  }
});
