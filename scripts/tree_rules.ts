import { filesUnder, topLevel } from "./tree.ts";

/** All that may be at the top of the tree. */
const TOP_LEVEL = [
  ".ci",
  ".gitignore",
  "CHANGELOG.md",
  "LICENSE",
  "README.md",
  "deno.json",
  "ffi",
  "lib",
  "main.ts",
  "scripts",
  "tests",
];

/**
 * Names of hosts that packages come from, and mirrors and proxies of such.
 * Where packages come from is for the machine to say that builds, not for us.
 */
const PACKAGE_HOST =
  /\b(?:(?:registry|npm|jsr|dl|deb|mirrors?|proxy|artifactory|nexus)(?:\.[a-z0-9-]+)+|(?:npmjs|jsr|esm|unpkg|jsdelivr))\.(?:com|dev|internal|io|land|local|net|org|sh)\b/i;

/**
 * Finds what the tree should not hold: files at the top that have no place
 * there, files that are not text, and names of package registries.
 *
 * @param root The top directory of the tree.
 * @returns A sentence for each; none if all is well.
 */
export function brokenTreeRules(root: string): string[] {
  const strangers = topLevel(root)
    .filter((name) => !TOP_LEVEL.includes(name))
    .map((name) => `${name} has no place at the top of the tree.`);
  const broken = filesUnder(root).flatMap((file) =>
    brokenFileRules(file, Deno.readFileSync(`${root}/${file}`))
  );
  return [...strangers, ...broken];
}

function brokenFileRules(file: string, bytes: Uint8Array): string[] {
  if (bytes.includes(0)) return [`${file} is no text.`];
  return new TextDecoder().decode(bytes).split("\n").flatMap((line, index) => {
    const [host] = PACKAGE_HOST.exec(line) ?? [];
    return host ? [`${file}:${index + 1} names a package host, ${host}.`] : [];
  });
}
