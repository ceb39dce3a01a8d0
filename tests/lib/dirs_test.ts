import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { makeDirectory } from "../../lib/dirs.ts";
import { ask, ROOT } from "../program.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

const IS_ROOT = Deno.uid() === 0;

/** Makes a process of root's one of an ordinary user's. */
const AS_USER = `
  const { seteuid } = Deno.dlopen("libc.so.6", {
    seteuid: { parameters: ["u32"], result: "i32" },
  }).symbols;
  if (Deno.uid() === 0 && seteuid(65534) !== 0) throw new Error("seteuid");`;

const SAY = `
  import { logdir, rundir } from "${ROOT}/lib/dirs.ts";
  for (const directory of [rundir, logdir]) {
    try { console.log(directory()); }
    catch (error) { console.log(error.message); }
  }`;

const VARIABLES = [
  "TEND_RUNDIR",
  "TEND_LOGDIR",
  "XDG_RUNTIME_DIR",
  "XDG_STATE_HOME",
  "HOME",
];

/** What rundir() and logdir() say with these variables alone. */
async function directories(
  who: string,
  variables: string[],
): Promise<string[]> {
  await using box = await Sandbox.create();
  // Deno itself wants to know where its cache is.
  const cache = Deno.env.get("DENO_DIR") ??
    `${
      Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME")}/.cache`
    }/deno`;
  const unset = VARIABLES.flatMap((name) => ["-u", name]);
  const answer = await ask(box, `${SAY.replace("for", `${who}\nfor`)}`, {
    under: ["env", ...unset, `DENO_DIR=${cache}`, ...variables],
  });
  return answer.split("\n");
}

Deno.test("rundir() and logdir() are what TEND_RUNDIR and TEND_LOGDIR say", async () => {
  const given = ["TEND_RUNDIR=/run/here", "TEND_LOGDIR=/log/there"];
  assertEquals(await directories("", given), ["/run/here", "/log/there"]);
});

Deno.test("rundir() has no slash at its end when TEND_RUNDIR has one", async () => {
  // It is compared with the directory part of a file's name.
  const given = ["TEND_RUNDIR=/run/here/", "TEND_LOGDIR=/log//there/"];
  assertEquals(await directories("", given), ["/run/here", "/log/there"]);
});

Deno.test("rundir() and logdir() refuse relative TEND_RUNDIR and TEND_LOGDIR", async () => {
  const given = ["TEND_RUNDIR=run", "TEND_LOGDIR=./log"];
  assertEquals(await directories("", given), [
    "TEND_RUNDIR: run is not an absolute path",
    "TEND_LOGDIR: ./log is not an absolute path",
  ]);
});

Deno.test({
  name: "rundir() and logdir() are the system's for root",
  ignore: !IS_ROOT,
  fn: async () => {
    const given = ["TEND_RUNDIR=", "XDG_RUNTIME_DIR=/x", "HOME=/root"];
    assertEquals(await directories("", given), ["/run/tend", "/var/log/tend"]);
  },
});

Deno.test("rundir() and logdir() are below XDG's for others", async () => {
  const given = ["XDG_RUNTIME_DIR=/run/user/7", "XDG_STATE_HOME=/state"];
  assertEquals(
    await directories(AS_USER, given),
    ["/run/user/7/tend", "/state/tend"],
  );
});

Deno.test("rundir() and logdir() are below HOME without XDG's", async () => {
  assertEquals(
    await directories(AS_USER, ["HOME=/home/web"]),
    ["/home/web/.local/state/tend", "/home/web/.local/state/tend"],
  );
});

Deno.test("rundir() and logdir() pass relative XDG variables over", async () => {
  const given = [
    "XDG_RUNTIME_DIR=run",
    "XDG_STATE_HOME=state",
    "HOME=/home/web",
  ];
  assertEquals(
    await directories(AS_USER, given),
    ["/home/web/.local/state/tend", "/home/web/.local/state/tend"],
  );
});

Deno.test("rundir() and logdir() say so when nothing says where they are", async () => {
  const none = (...names: string[]) =>
    `no directory to use: neither ${names.join(" nor ")} nor HOME is set`;
  assertEquals(await directories(AS_USER, []), [
    none("TEND_RUNDIR", "XDG_RUNTIME_DIR"),
    none("TEND_LOGDIR", "XDG_STATE_HOME"),
  ]);
});

const MODES = [
  { who: "root", as: "", umask: "000", mode: 0o755 },
  { who: "root", as: "", umask: "022", mode: 0o755 },
  { who: "root", as: "", umask: "077", mode: 0o700 },
  { who: "a user", as: AS_USER, umask: "000", mode: 0o700 },
  { who: "a user", as: AS_USER, umask: "002", mode: 0o700 },
  { who: "a user", as: AS_USER, umask: "077", mode: 0o700 },
];

for (const { who, as, umask, mode } of MODES) {
  const octal = `0${mode.toString(8)}`;
  Deno.test({
    name: `makeDirectory() makes ${octal} for ${who} whose umask is ${umask}`,
    ignore: who === "root" && !IS_ROOT,
    fn: async () => {
      await using box = await Sandbox.create();
      Deno.chmodSync(box.dir, 0o777);
      await ask(
        box,
        `
        import { makeDirectory } from "${ROOT}/lib/dirs.ts";
        ${as}
        makeDirectory(Deno.args[0]);`,
        {
          args: [box.path("a/b/c")],
          under: ["sh", "-c", `umask ${umask}; exec "$@"`, "sh"],
        },
      );
      const modes = ["a", "a/b", "a/b/c"]
        .map((name) => Deno.statSync(box.path(name)).mode! & 0o7777);
      assertEquals(modes, [mode, mode, mode]);
    },
  });
}

Deno.test("makeDirectory() leaves one that is there as it is", async () => {
  await using box = await Sandbox.create();
  Deno.mkdirSync(box.path("a"));
  Deno.chmodSync(box.path("a"), 0o1777);
  makeDirectory(box.path("a"));
  assertEquals(Deno.statSync(box.path("a")).mode! & 0o7777, 0o1777);
});

Deno.test("makeDirectory() takes a symbolic link to a directory for one", async () => {
  await using box = await Sandbox.create();
  Deno.symlinkSync("/etc", box.path("link"));
  makeDirectory(box.path("link"));
  assert(Deno.lstatSync(box.path("link")).isSymlink);
});

Deno.test("makeDirectory() refuses what is no directory", async () => {
  await using box = await Sandbox.create();
  const path = box.path("file");
  Deno.writeTextFileSync(path, "");
  assertThrows(() => makeDirectory(path), Error, `${path}: is not a directory`);
});

Deno.test("makeDirectory() refuses a symbolic link that leads nowhere", async () => {
  await using box = await Sandbox.create();
  const path = box.path("link");
  Deno.symlinkSync("/no/such/directory", path);
  assertThrows(() => makeDirectory(path), Error, `${path}: `);
});

Deno.test("makeDirectory() says what failed below a file", async () => {
  await using box = await Sandbox.create();
  Deno.writeTextFileSync(box.path("file"), "");
  const path = box.path("file/a");
  assertThrows(
    () => makeDirectory(path),
    Error,
    `${path}: stat failed (Not a directory)`,
  );
});

Deno.test("makeDirectory() says which directory could not be made", async () => {
  await using box = await Sandbox.create();
  Deno.chmodSync(box.dir, 0o755);
  const answer = await ask(
    box,
    `
    import { makeDirectory } from "${ROOT}/lib/dirs.ts";
    ${AS_USER}
    try { makeDirectory("/proc/a/b"); } catch (error) { console.log(error.message); }`,
  );
  assertEquals(answer, "/proc/a: mkdir failed (No such file or directory)");
});
