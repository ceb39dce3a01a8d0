import { assertMatch } from "@std/assert/match";
import { ask, ROOT } from "../../program.ts";
import { Sandbox } from "../../sandbox.ts";

Deno.test("useLogtape() sends each message where vlog wants it, once", async () => {
  await using box = await Sandbox.create();
  const file = box.path("log");
  const answer = await ask(
    box,
    `
    import { useLogtape } from "${ROOT}/lib/cli/logtape.ts";
    import { vlogModule } from "${ROOT}/lib/vlog.ts";
    import { setLevels } from "${ROOT}/lib/vlog_levels.ts";
    import { setLogFile } from "${ROOT}/lib/vlog_sinks.ts";
    useLogtape();
    setLogFile(${JSON.stringify(file)});
    setLevels("console:off");
    setLevels("file:warn");
    vlogModule("daemon_unix").info("not in the file");
    vlogModule("daemon_unix").warn("in {the} file");
    console.log(Deno.readTextFileSync(${JSON.stringify(file)}).trimEnd());`,
  );
  assertMatch(answer, /^\S+Z\|0000\d\|daemon_unix\|WARN\|in \{the\} file$/);
});
