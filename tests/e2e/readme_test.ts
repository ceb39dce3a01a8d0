import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { Sandbox, TEND } from "../sandbox.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
const README = Deno.readTextFileSync(`${ROOT}/README.md`);

/** Between the outputs of two commands. */
const SEPARATOR = "--- next command ---";

interface Example {
  command: string;
  output: string[];
}

/**
 * The commands of all `console` blocks, with what they print. Those of `console
 * root` are for root alone.
 */
function examples(): Example[] {
  const found: Example[] = [];
  const blocks = README.matchAll(/```console( root)?\n(.*?)```/gs);
  for (const [, isForRoot, block] of blocks) {
    if (isForRoot && Deno.uid() !== 0) continue;
    for (const line of block!.trimEnd().split("\n")) {
      if (line.startsWith("$ ")) {
        found.push({ command: line.slice(2), output: [] });
      } else {
        found.at(-1)!.output.push(line);
      }
    }
  }
  return found;
}

/**
 * A pattern for an output: numbers are any numbers, `…` is anything, and a table
 * has as many blanks as it needs.
 */
function pattern(output: string[]): RegExp {
  const source = output.map((line) =>
    line === "…"
      ? "(?:.*\\n)*?"
      : line.replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replace(/\d+/g, "\\d+")
        .replace(/(?<=\S) {2,}/g, " +")
        .replace(/…/g, ".*") + "\\n"
  );
  return new RegExp(`^${source.join("")}$`);
}

Deno.test("README.md: each command prints what stands below it", async () => {
  await using box = await Sandbox.create();
  const inBox = (text: string) =>
    text.replaceAll("/run/tend", box.path("run"))
      .replaceAll("dist/tend", TEND);
  const all = examples();
  const script = all.map(({ command }) =>
    // A task runs in the clone, everything else in a directory of its own.
    (command.startsWith("npx ")
      ? `(cd ${ROOT} && ${command})`
      : inBox(command)) +
    `\necho '${SEPARATOR}'`
  ).join("\n");
  await Deno.mkdir(box.path("bin"));
  await Deno.symlink(TEND, box.path("bin/tend"));
  const { stdout } = await box.run(
    ["bash", "-c", `exec 2>&1\n${script}`],
    {
      env: {
        HOME: box.dir,
        PATH: `${box.path("bin")}:${Deno.env.get("PATH")}`,
        // npm and Deno keep what they have fetched below the real home.
        ...realCaches(),
      },
    },
  );
  const outputs = stdout.split(`${SEPARATOR}\n`);
  for (const [i, { command, output }] of all.entries()) {
    const expected = pattern(output.map(inBox));
    assertMatch(outputs[i] ?? "", expected, `$ ${command}`);
  }
});

function realCaches(): Record<string, string> {
  const home = Deno.env.get("HOME") ?? "/";
  return {
    DENO_DIR: Deno.env.get("DENO_DIR") ?? `${home}/.cache/deno`,
    npm_config_cache: Deno.env.get("npm_config_cache") ?? `${home}/.npm`,
    XDG_CACHE_HOME: Deno.env.get("XDG_CACHE_HOME") ?? `${home}/.cache`,
  };
}

Deno.test("README.md names each option of --help, and no other", async () => {
  await using box = await Sandbox.create();
  const { stdout } = await box.tend("--help");
  const inHelp = [...stdout.matchAll(/^ {2}(?:-\w, )?(--[a-z-]+)/gm)]
    .map(([, option]) => option!).sort();
  const table = /^## Options\n(.*?)^## /ms.exec(README)![1]!;
  const inTable = [...table.matchAll(/^\| [^|]*/gm)]
    .flatMap(([cell]) => [...cell.matchAll(/--[a-z-]+/g)])
    .map(([option]) => option).filter((option) => /--[a-z]/.test(option))
    .sort();
  assertEquals(inTable, inHelp);
});

Deno.test("README.md names each verb of --help, and no other", async () => {
  await using box = await Sandbox.create();
  const { stdout } = await box.tend("--help");
  const verbs = /^Verbs:\n(.*?)\n\n/ms.exec(stdout)![1]!;
  const inHelp = [...verbs.matchAll(/^ {2}([a-z]+)/gm)].map(([, verb]) =>
    verb!
  );
  const section = /^## Verbs\n(.*?)^## /ms.exec(README)![1]!;
  const inTable = [...section.matchAll(/^\| `([a-z]+)/gm)]
    .map(([, verb]) => verb!);
  assertEquals(inTable.sort(), inHelp.sort());
});
