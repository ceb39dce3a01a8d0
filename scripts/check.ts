/**
 * All that must hold of the tree but the tests: `deno task check`.
 *
 * The checks run side by side. Each says in one line whether it passed; what
 * the failed ones had to say comes after that.
 */
import { run } from "./command.ts";
import { Failure, runScript } from "./failure.ts";
import { importsWithin, wrongImports } from "./imports.ts";
import { brokenTreeRules } from "./tree_rules.ts";

const ROOT = Deno.realPathSync(`${import.meta.dirname}/..`);

/** Returns what is wrong, and nothing if all is well. */
type Check = () => Promise<string>;

const CHECKS: Record<string, Check> = {
  format: deno("fmt", "--check"),
  lint: deno("lint"),
  types: deno("check"),
  docs: deno("doc", "--lint", "lib/mod.ts"),
  publish: deno("publish", "--dry-run", "--allow-dirty"),
  imports: async () => wrongImports(await importsWithin(ROOT)).join("\n"),
  tree: () => Promise.resolve(brokenTreeRules(ROOT).join("\n")),
};

function deno(...args: string[]): Check {
  return async () => {
    const { success, output } = await run(Deno.execPath(), args, { cwd: ROOT });
    return success ? "" : output || "It failed without a word.";
  };
}

async function runCheck(name: string, check: Check): Promise<string> {
  const start = performance.now();
  const complaint = await check().catch((error) => {
    if (error instanceof Failure) return error.message;
    throw error;
  });
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  const verdict = complaint === "" ? "ok" : "FAILED";
  console.log(`${name.padEnd(8)} ${verdict} (${seconds} s)`);
  return complaint && `\n${name}:\n${complaint}`;
}

await runScript("check", async () => {
  const complaints = await Promise.all(
    Object.entries(CHECKS).map(([name, check]) => runCheck(name, check)),
  );
  const failed = complaints.filter((complaint) => complaint !== "");
  failed.forEach((complaint) => console.log(complaint));
  if (failed.length > 0) {
    throw new Failure(`${failed.length} of ${complaints.length} failed.`);
  }
});
