import { sha256 } from "./sha256.ts";
import { filesUnder } from "./tree.ts";

/** What `dist/tend` is made of and made by. */
const INPUTS = ["deno.json", "main.ts", "ffi", "lib", "scripts"];

/**
 * Tells what a build depends on: the version of Deno, and names and contents
 * of all files that go into it, or have a say in it.
 *
 * @param root The top directory of the tree.
 * @returns A digest: the same if and only if all of them are.
 */
export async function buildInputs(root: string): Promise<string> {
  const list = [`${Deno.version.deno} ${Deno.build.target}`];
  for (const file of filesUnder(root, INPUTS)) {
    const bytes = await Deno.readFile(`${root}/${file}`);
    list.push(`${await sha256(bytes)} ${file}`);
  }
  return await sha256(new TextEncoder().encode(list.join("\n")));
}
