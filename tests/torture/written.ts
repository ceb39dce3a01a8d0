/**
 * What a command has written, and what its logger has made of it.
 *
 * @module
 */
import { Errno, strerror } from "../../ffi/libc.ts";
import type { Sandbox } from "../sandbox.ts";
import { nameOf } from "./calls.ts";
import type { Life, Plan } from "./life.ts";

/** Lines of each daemon: together they fill a file of 1 KiB or two. */
const LINES = 40;

/**
 * A shell's commands that write lines to stdout, and note each after that: one
 * that is killed between the two has written one more than it has noted.
 */
export const WRITES = `i=0; while [ $i -lt ${LINES} ]; do i=$((i+1)); ` +
  'echo "$$ $i of the lines that are to be rotated"; ' +
  'echo "$$ $i" >>"$TEND_TEST_SANDBOX/written"; done';

/** Calls whose failure its monitor hears of, where a file is concerned. */
const TOLD = ["write", "openat", "renameat"];

/**
 * Compares what was written with what is in the files.
 *
 * @param box Where `out.log` and what has become of it are.
 * @returns What is lost, there twice, or in another order.
 */
export function linesLost(box: Sandbox): string[] {
  const names = [...Deno.readDirSync(box.dir)].map(({ name }) => name)
    .filter((name) => name.startsWith("out.log"));
  const age = (name: string) => Number(name.split(".")[2] ?? 0);
  const text = names.sort((a, b) => age(b) - age(a))
    .map((name) => Deno.readTextFileSync(box.path(name))).join("");
  const logged = byProcess(
    text.replaceAll(" of the lines that are to be rotated", ""),
  );
  const written = byProcess(box.read(box.path("written")) ?? "");
  return [...new Set([...logged.keys(), ...written.keys()])].flatMap((pid) => {
    const [there, noted] = [logged, written].map((all) =>
      all.get(pid) ?? []
    ) as [
      string[],
      string[],
    ];
    const isRight = there.every((line, i) => line === String(i + 1)) &&
      (there.length === noted.length || there.length === noted.length + 1);
    return isRight
      ? []
      : [`pid ${pid} wrote ${noted.length} lines, and logged is ${there}`];
  });
}

function byProcess(text: string): Map<string, string[]> {
  const lines = new Map<string, string[]>();
  for (const line of text.split("\n").filter((line) => line !== "")) {
    const [pid = "", number = ""] = line.split(" ");
    lines.set(pid, [...lines.get(pid) ?? [], number]);
  }
  return lines;
}

/**
 * Looks whether a logger's trouble is in its monitor's log.
 *
 * @param box Where that is.
 * @param plan What was done.
 * @param life What was seen.
 * @returns What is not told.
 */
export function troubleUntold(
  box: Sandbox,
  plan: Plan | undefined,
  { done }: Life,
): string[] {
  if (done?.role !== "logger" || typeof plan?.what !== "number") return [];
  const isFile = done.file === undefined || done.file.startsWith("/");
  if (!isFile || !TOLD.includes(nameOf(done.number))) return [];
  // A file that is to be made anew is there already: that is no trouble.
  if (plan.what === Errno.EINTR) return [];
  const log = box.read(box.path("web.log")) ?? "";
  return log.includes(`failed (${strerror(plan.what)})`)
    ? []
    : [`no trouble of ${strerror(plan.what)} in the log: ${log}`];
}
