/** What is no part of the tree: git's own, and what is built. */
const OUTSIDE = [".git", "dist"];

/**
 * Lists the files of the tree, sorted, by their paths from its top.
 *
 * @param root The top directory of the tree.
 * @param names What to look at there, all by default. What is missing is left
 * out.
 */
export function filesUnder(
  root: string,
  names: string[] = topLevel(root),
): string[] {
  return names.flatMap((name) => walk(root, name)).sort();
}

/** Lists what the top directory of the tree holds. */
export function topLevel(root: string): string[] {
  return Array.from(Deno.readDirSync(root), ({ name }) => name)
    .filter((name) => !OUTSIDE.includes(name));
}

function walk(root: string, path: string): string[] {
  const info = lstatIfThere(`${root}/${path}`);
  if (info === undefined) return [];
  if (!info.isDirectory) return info.isFile ? [path] : [];
  return Array.from(Deno.readDirSync(`${root}/${path}`))
    .flatMap(({ name }) => walk(root, `${path}/${name}`));
}

function lstatIfThere(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
