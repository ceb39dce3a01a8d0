import { assertEquals } from "@std/assert/equals";
import { usage } from "../../../lib/cli/usage.ts";
import { VERBS } from "../../../lib/cli/verbs.ts";
import { VERSION } from "../../../lib/version.ts";
import { ask, ROOT, runProgram } from "../../program.ts";
import { type Finished, Sandbox } from "../../sandbox.ts";
import "../../open_libc.ts";

const DIRECTORIES = { TEND_RUNDIR: "/run/here", TEND_LOGDIR: "/log/there" };

/** Runs main(), as it runs in tend. */
async function main(...args: string[]): Promise<Finished> {
  await using box = await Sandbox.create();
  return await runProgram(
    box,
    `import { main } from "${ROOT}/lib/cli/main.ts"; main(Deno.args);`,
    { args, env: DIRECTORIES },
  );
}

for (const args of [["--help"], ["-h"], ["--monitor", "-h", "sleep"]]) {
  Deno.test(`main() prints the help and ends with 0 for ${args.join(" ")}`, async () => {
    for (const [name, value] of Object.entries(DIRECTORIES)) {
      Deno.env.set(name, value);
    }
    const expected = { code: 0, stdout: usage(VERBS), stderr: "" };
    assertEquals(await main(...args), expected);
  });
}

for (const args of [["--version"], ["-V"]]) {
  Deno.test(`main() prints the version and ends with 0 for ${args}`, async () => {
    const expected = { code: 0, stdout: `tend ${VERSION}\n`, stderr: "" };
    assertEquals(await main(...args), expected);
  });
}

for (
  const [args, message] of [
    [[], "COMMAND is missing"],
    [["--detach"], "COMMAND is missing"],
    [["--detach", "--"], "COMMAND is missing"],
    [["--nope", "sleep"], "unknown option --nope"],
    [["--name"], "option --name needs a value: --name=NAME"],
    [["--detach=x"], "option --detach takes no value, and has x"],
  ] as const
) {
  Deno.test(`main() ends with 2 and one line for ${JSON.stringify(args)}`, async () => {
    assertEquals(await main(...args), {
      code: 2,
      stdout: "",
      stderr: `tend: ${message}. Try 'tend --help'.\n`,
    });
  });
}

for (const word of ["--a\nb", "--detach=\x1b[2J", "--verbose=\n"]) {
  Deno.test(`main() says what is wrong in one line of plain text for ${JSON.stringify(word)}`, async () => {
    const { code, stderr } = await main(word, "--nope");
    assertEquals(code, 2);
    // deno-lint-ignore no-control-regex
    assertEquals(/^[^\x00-\x1f]*\n$/.test(stderr), true, stderr);
  });
}

Deno.test("main() ends with 127 when the command is not there", async () => {
  assertEquals(await main("/no/such/web"), {
    code: 127,
    stdout: "",
    stderr: "tend: /no/such/web: exec failed (No such file or directory)\n",
  });
});

Deno.test("main() becomes the command when there is nothing to look after", async () => {
  const { code, stdout } = await main("--", "sh", "-c", "echo run; exit 5");
  assertEquals([code, stdout], [5, "run\n"]);
});

Deno.test("main() says so in one line when the output cannot be written", async () => {
  await using box = await Sandbox.create();
  const { code, stderr } = await runProgram(
    box,
    `import { main } from "${ROOT}/lib/cli/main.ts"; main(Deno.args);`,
    {
      args: ["--help"],
      under: ["sh", "-c", '"$@" >/dev/full', "sh"],
      env: DIRECTORIES,
    },
  );
  assertEquals([code, stderr], [
    1,
    "tend: standard output: write failed (No space left on device)\n",
  ]);
});

Deno.test("main() is loaded without the 4 MiB that finding suggestions takes", async () => {
  await using box = await Sandbox.create();
  const answer = await ask(
    box,
    `
    let most = 0;
    globalThis.Uint32Array = class extends Uint32Array {
      constructor(...args) {
        super(...args);
        most = Math.max(most, this.byteLength);
      }
    };
    await import("${ROOT}/lib/cli/main.ts");
    const before = most;
    await import("${ROOT}/lib/cli/suggestion.ts");
    console.log(before < 1e5, most > 4e6);`,
  );
  assertEquals(answer, "true true");
});
