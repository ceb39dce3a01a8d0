/**
 * The descriptors of monitors: after all that was done to one it has those that
 * it has in a life that nothing was done to.
 *
 * @module
 */
import { fdsOf, isAsleep } from "../proc.ts";

/** What a monitor holds. */
export interface Held {
  /** Asleep it holds others than awake. */
  readonly asleep: boolean;
  /** What its descriptors refer to, without numbers, in their order. */
  readonly files: readonly string[];
}

/** Looks at a monitor that waits. */
export function heldBy(monitor: number): Held {
  return {
    asleep: isAsleep(monitor) ||
      Deno.readLinkSync(`/proc/${monitor}/exe`).startsWith("/memfd:"),
    files: [...fdsOf(monitor).values()].map(kindOf).sort(),
  };
}

/** One file has another name in each sandbox, and none once it is replaced. */
function kindOf(file: string): string {
  return file.replace(/ \(deleted\)$/, "")
    .replace(/^\/.*\/tend-test-[^/]*/, "")
    .replace(/\d+/g, "N");
}

/**
 * What a monitor holds that it should have closed.
 *
 * @param held What it holds.
 * @param usual What one holds otherwise.
 */
export function leaksOf(
  held: Held | undefined,
  usual: Held | undefined,
): string[] {
  if (held === undefined || held.asleep !== usual?.asleep) return [];
  const left = [...usual.files];
  const more = held.files.filter((file) => {
    const at = left.indexOf(file);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  }).filter((file) => {
    // A dead end, where /dev/null could not be opened.
    const at = file === "pipe:[N]" ? left.indexOf("/dev/null") : -1;
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
  return more.length === 0 ? [] : [`the monitor leaks ${more.join(" ")}`];
}
