/**
 * Tools that tests of machine code need.
 *
 * @module
 */
import { assert } from "@std/assert/assert";
import { run } from "../scripts/command.ts";
import type { Architecture } from "../scripts/elf_image.ts";

export type { Architecture };

/** All machines. */
export const ARCHITECTURES: Architecture[] = ["x86_64", "aarch64"];

/** Debian: binutils-x86-64-linux-gnu, binutils-aarch64-linux-gnu. */
export function binutil(architecture: Architecture, name: string): string {
  return `${architecture}-linux-gnu-${name}`;
}

/** What runs a program of a machine; Debian: qemu-user-static. */
export function emulator(architecture: Architecture): string[] {
  return Deno.build.arch === architecture
    ? []
    : [`qemu-${architecture}-static`];
}

/** Whether a test is to be left out: never where all tools ought to be. */
export async function lacks(tools: string[]): Promise<boolean> {
  if (Deno.env.get("CI")) return false;
  const outcomes = await Promise.all(
    tools.map((tool) => run(tool, ["--version"])),
  );
  return outcomes.some(({ success }) => !success);
}

/** Runs a command that has to succeed. */
export async function must(command: string, args: string[]): Promise<string> {
  const { success, stdout, output } = await run(command, args);
  assert(success, `${command}: ${output}`);
  return stdout;
}

/** Assembles a source and links it. */
export async function link(
  architecture: Architecture,
  source: string,
  path: string,
  options: string[],
): Promise<void> {
  const object = `${path}.o`;
  await Deno.writeTextFile(`${path}.s`, source);
  await must(binutil(architecture, "as"), ["-o", object, `${path}.s`]);
  await must(binutil(architecture, "ld"), [...options, "-o", path, object]);
}

/** Does something with a directory of its own. */
export async function withTempDir<T>(
  work: (path: string) => Promise<T>,
): Promise<T> {
  const path = await Deno.makeTempDir();
  try {
    return await work(path);
  } finally {
    await Deno.remove(path, { recursive: true });
  }
}
