/**
 * The directions that imports may take: main → cli → lib → ffi. Nothing
 * imports what stands before it, and nothing imports tests or scripts but
 * these themselves.
 */
import { run } from "./command.ts";
import { Failure } from "./failure.ts";
import { filesUnder } from "./tree.ts";

/** The parts of the tree, each with those that it may import. */
const LAYERS = {
  main: ["cli", "lib"],
  cli: ["cli", "lib", "ffi"],
  lib: ["lib", "ffi", "config"],
  ffi: ["ffi"],
  config: [],
  scripts: ["scripts", "lib", "ffi"],
  tests: ["tests", "scripts", "main", "cli", "lib", "ffi", "config"],
} as const satisfies Record<string, readonly string[]>;

type Layer = keyof typeof LAYERS;

/** Where a path from the top of the tree belongs; the first match counts. */
const PLACES: readonly [prefix: string, layer: Layer][] = [
  ["deno.json", "config"], // for the version
  ["main.ts", "main"],
  ["lib/cli/", "cli"],
  ["lib/", "lib"],
  ["ffi/", "ffi"],
  ["scripts/", "scripts"],
  ["tests/", "tests"],
];

/** One file that imports another, both as paths from the top of the tree. */
export interface Import {
  from: string;
  to: string;
}

/**
 * Finds the imports that go the wrong way.
 *
 * @returns A sentence for each; none if all is well.
 */
export function wrongImports(imports: Import[]): string[] {
  return imports.flatMap(({ from, to }) => {
    const fromLayer = layerOf(from);
    const toLayer = layerOf(to);
    if (fromLayer === undefined) return [`${from} belongs to no layer.`];
    const allowed: readonly string[] = LAYERS[fromLayer];
    if (toLayer !== undefined && allowed.includes(toLayer)) return [];
    return [
      `${from} imports ${to}: ${fromLayer} may import ${
        allowed.join(", ")
      } only.`,
    ];
  });
}

function layerOf(path: string): Layer | undefined {
  return PLACES.find(([prefix]) => path.startsWith(prefix))?.[1];
}

/** The part of `deno info --json` that is used here. */
interface Info {
  modules: {
    specifier: string;
    error?: string;
    dependencies?: {
      code?: { specifier?: string };
      type?: { specifier?: string };
    }[];
  }[];
}

/**
 * Lists every import in the tree of one of its files by another, dynamic
 * imports and imports of types included.
 *
 * @param root The absolute path of the top directory of the tree.
 * @throws {Failure} Deno could not make out some module.
 */
export async function importsWithin(root: string): Promise<Import[]> {
  const base = `file://${encodeURI(root)}/`;
  const { modules } = await denoInfo(root, base);
  const ours = modules.filter(({ specifier }) => specifier.startsWith(base));
  return ours.flatMap(({ specifier, dependencies = [], error }) => {
    if (error) throw new Failure(error);
    const targets = dependencies
      .flatMap(({ code, type }) => [code?.specifier, type?.specifier])
      .filter((target) => target !== undefined && target.startsWith("file:"))
      .map((target) => withoutBase(`${target}`, base));
    return Array.from(new Set(targets))
      .map((to) => ({ from: withoutBase(specifier, base), to }));
  });
}

/** Asks Deno for the graph of all modules in the tree at once. */
async function denoInfo(root: string, base: string): Promise<Info> {
  const files = filesUnder(root).filter((file) => file.endsWith(".ts"));
  const all = await Deno.makeTempFile({ prefix: "tend-", suffix: ".ts" });
  try {
    const lines = files.map((file) => `import "${base}${file}";\n`);
    await Deno.writeTextFile(all, lines.join(""));
    const config = `--config=${root}/deno.json`;
    const { success, stdout, output } = await run(
      Deno.execPath(),
      ["info", "--json", config, all],
    );
    if (!success) throw new Failure(output);
    return JSON.parse(stdout);
  } finally {
    await Deno.remove(all);
  }
}

function withoutBase(specifier: string, base: string): string {
  return specifier.startsWith(base) ? specifier.slice(base.length) : specifier;
}
