/**
 * Draws a process and what is below it, as `pstree` would.
 *
 * @param root The process at the top.
 * @returns A line for each process.
 */
export function processTree(root: number): string {
  const processes = [...Deno.readDirSync("/proc")]
    .map(({ name }) => Number(name)).filter((pid) => pid > 0)
    .flatMap(readProcess);
  const lines: string[] = [];
  const draw = (pid: number, indent: string) => {
    const process = processes.find((other) => other.pid === pid);
    if (process === undefined) return;
    lines.push(`${indent}${pid}  ${process.title}`);
    for (const child of processes.filter(({ ppid }) => ppid === pid)) {
      draw(child.pid, `${indent}  └─ `);
    }
  };
  draw(root, "  ");
  return lines.join("\n");
}

function readProcess(
  pid: number,
): { pid: number; ppid: number; title: string }[] {
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    const title = Deno.readTextFileSync(`/proc/${pid}/cmdline`);
    return [{
      pid,
      ppid: Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]),
      title: title.replace(/\0+$/, "").replaceAll("\0", " "),
    }];
  } catch (error) {
    // It has ended since it was listed.
    if (error instanceof Deno.errors.NotFound) return [];
    if (error instanceof Error && error.message.includes("os error 3")) {
      return [];
    }
    throw error;
  }
}
