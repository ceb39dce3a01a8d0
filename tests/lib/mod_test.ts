import { assertEquals } from "@std/assert/equals";
import * as mod from "../../lib/mod.ts";
import { ask, ROOT, runProgram } from "../program.ts";
import { Sandbox } from "../sandbox.ts";

const MOD = `${ROOT}/lib/mod.ts`;

Deno.test("mod.ts needs no permission to be imported", async () => {
  await using box = await Sandbox.create();
  const source = `import "${MOD}"; console.log("imported");`;
  assertEquals(await ask(box, source, { deno: [] }), "imported");
});

Deno.test("mod.ts opens nothing when it is imported", async () => {
  await using box = await Sandbox.create();
  const answer = await ask(
    box,
    `
    // Deno opens its caches when it likes.
    const look = () => [...Deno.readDirSync("/proc/self/fd")]
      .flatMap(({ name }) => {
        try { return [name + " " + Deno.readLinkSync("/proc/self/fd/" + name)]; }
        catch { return []; }
      })
      .filter((file) => !/_cache_v\\d/.test(file));
    const before = look();
    const libraries = () => new Set(Deno.readTextFileSync("/proc/self/maps")
      .match(/\\/\\S+\\.so\\b/g)).size;
    const loaded = libraries();
    await import(Deno.args[0]);
    const opened = look().filter((file) => !before.includes(file));
    console.log(JSON.stringify([opened, libraries() - loaded]));`,
    { args: [MOD] },
  );
  assertEquals(answer, "[[],0]");
});

Deno.test("mod.ts reads no variable of the environment when it is imported", async () => {
  await using box = await Sandbox.create();
  const answer = await ask(
    box,
    `
    const asked = [];
    const { get, toObject, has } = Deno.env;
    Deno.env.get = (name) => (asked.push(name), get.call(Deno.env, name));
    Deno.env.has = (name) => (asked.push(name), has.call(Deno.env, name));
    Deno.env.toObject = () => (asked.push("*"), toObject.call(Deno.env));
    await import(Deno.args[0]);
    console.log(JSON.stringify(asked));`,
    { args: [MOD] },
  );
  assertEquals(answer, "[]");
});

Deno.test("mod.ts works with --allow-ffi and --allow-env alone", async () => {
  await using box = await Sandbox.create();
  const { stdout } = await runProgram(
    box,
    `
    import {
      addExitHook, daemonUsage, makePidfileName, readPidfile, setProgramName,
    } from "${MOD}";
    setProgramName("web");
    addExitHook(() => {});
    const pidfile = makePidfileName();
    console.log(daemonUsage().includes(pidfile), readPidfile(pidfile));`,
    { deno: ["--allow-ffi", "--allow-env"], env: { TEND_RUNDIR: "/no/such" } },
  );
  assertEquals(stdout, "true -2\n");
});

Deno.test("mod.ts exports no more than what its users need", () => {
  assertEquals(Object.keys(mod).sort(), [
    "RESTART_EXIT_CODE",
    "addExitHook",
    "addFileToUnlink",
    "closeStandardFds",
    "daemonUsage",
    "daemonize",
    "daemonizeComplete",
    "daemonizeStart",
    "makePidfileName",
    "parseDaemonOptions",
    "readPidfile",
    "removeFileToUnlink",
    "setProgramName",
  ]);
});
