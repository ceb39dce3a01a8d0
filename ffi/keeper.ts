/**
 * A program of a few hundred bytes that starts another one and stays for as long
 * as anything is left of that: whatever loses its parent becomes its child.
 *
 * @module
 */
import { CallScript, goingOn } from "./call_script.ts";
import { type CString, cString } from "./c_string.ts";
import { scriptImage, stackRange } from "./script_image.ts";
import { PR_SET_CHILD_SUBREAPER } from "./subreaper.ts";
import { VFORK } from "./system_calls.ts";

/** What a keeper is called, and what it starts. */
export interface Keeper {
  /** Its name, `comm` in `/proc`; the kernel keeps 15 bytes of it. */
  readonly name: CString;
  /** The program that it starts. */
  readonly path: CString;
  /** Its arguments, with its name first. */
  readonly argv: readonly CString[];
  /** Its environment. */
  readonly env: readonly CString[];
}

const PR_SET_NAME = 15;
const MADV_DONTNEED = 4;

/**
 * Makes the program, an ELF file. Where no process can be had it becomes the
 * other program itself.
 *
 * @param keeper What it starts.
 * @param machine The machine that it is for.
 * @returns The file.
 * @throws {TypeError} When a string holds a NUL.
 */
export function keeperImage(
  { name, path, argv, env }: Keeper,
  machine: typeof Deno.build.arch = Deno.build.arch,
): Uint8Array<ArrayBuffer> {
  const script = new CallScript(machine);
  const stack = stackRange(script);
  const string = (text: CString) => script.bytes(cString(text));
  const program = [
    string(path),
    script.pointers(argv.map(string)),
    script.pointers(env.map(string)),
  ];
  script.step("name", "prctl", [PR_SET_NAME, string(name)]);
  script.step("shrink", "madvise", [...stack, MADV_DONTNEED]);
  script.step("adopt", "prctl", [PR_SET_CHILD_SUBREAPER, 1]);
  script.step("start", "clone", [VFORK, 0], {
    failed: "execute",
    zero: "execute",
    positive: "wait",
  });
  // Of any child. When it fails there is none, nor can there be any more.
  script.step("wait", "wait4", [-1, 0, 0, 0], {
    failed: "done",
    zero: "wait",
    positive: "wait",
  });
  script.step("done", "exit_group", [0]);
  script.step("execute", "execve", program);
  script.step("give up", "exit_group", [127], goingOn("give up"));
  return scriptImage(script, stack[0], machine);
}
