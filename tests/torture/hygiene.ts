/**
 * What a plain start touches, and what the binary may do.
 *
 * @module
 */
import { isAsleep, look } from "../proc.ts";
import { Sandbox, TEND } from "../sandbox.ts";
import type { Budget, Row } from "./row.ts";

/** System calls that change what is at a path. */
const CHANGING =
  /^(?:creat|mkdir|mkdirat|rename|renameat|renameat2|unlink|unlinkat|rmdir|link|linkat|symlink|symlinkat|mknod|mknodat|chmod|fchmodat|chown|lchown|fchownat|truncate|utimensat|setxattr|mount)$/;
const OPENING_TO_CHANGE = /O_(?:WRONLY|RDWR|CREAT|TRUNC)/;
/** Files of which each is nobody's: nothing stays of what is written there. */
const SINKS = ["/dev/null", "/dev/tty"];

/** A call with the paths that it names. */
interface Call {
  readonly name: string;
  readonly paths: readonly string[];
  readonly line: string;
}

/** What forbids a call in a plain start; nothing of most. */
type Rule = (call: Call, box: Sandbox) => boolean;

const RULES: Readonly<Record<string, Rule>> = {
  "nothing is changed outside the run directory": (
    { name, paths, line },
    box,
  ) =>
    (CHANGING.test(name) ||
      (/^open/.test(name) && OPENING_TO_CHANGE.test(line))) &&
    paths.some((path) =>
      !SINKS.includes(path) && path !== box.path("run") &&
      !path.startsWith(`${box.path("run")}/`)
    ),
  "nothing in /tmp is looked at": ({ paths }, box) =>
    paths.some((path) =>
      /^\/(?:var\/)?tmp(?:\/|$)/.test(path) && !path.startsWith(box.dir) &&
      // It may have been built there itself.
      path !== TEND
    ),
  "nothing of the caller's home is looked at": ({ paths }, box) =>
    paths.some((path) => path.startsWith(box.path("home"))),
  // Of the machine's own there is one, to its log.
  "no socket of a network is made": ({ name, line }) =>
    /^socket/.test(name) && !/\(AF_UNIX,/.test(line),
};

/** Looks at the calls of a start and a stop, and at the binary's permissions. */
export async function hygiene(_budget: Budget): Promise<Row[]> {
  const calls = await callsOfStart();
  return [
    ...Object.keys(RULES).map((what) => {
      const failures = calls.broken.get(what)!;
      const held = calls.count - failures.length;
      return {
        what: `a plain start: ${what}`,
        tried: calls.count,
        held,
        failures,
      };
    }),
    permissions(),
  ];
}

async function callsOfStart(): Promise<
  { count: number; broken: ReadonlyMap<string, string[]> }
> {
  await using box = await Sandbox.create();
  Deno.mkdirSync(box.path("home"));
  const trace = box.path("trace");
  const strace = ["strace", "-f", "-qq", "-s", "4096", "-o", trace];
  const start = box.start([
    ...strace,
    ...["-e", "trace=file,network"],
    ...[
      TEND,
      "--detach",
      "--monitor",
      "--pidfile=web.pid",
      "--sleep-after=20ms",
    ],
    ...["--", "/bin/sleep", "1000000"],
  ], { env: { HOME: box.path("home") } });
  const pid = await box.until("the monitor sleeps", () => {
    const daemon = box.pidfile("web.pid");
    const monitor = daemon === undefined ? undefined : look(daemon)?.ppid;
    return monitor !== undefined && isAsleep(monitor) ? daemon : undefined;
  });
  Deno.kill(pid, "SIGTERM");
  const { code, stderr } = await start.finished();
  if (code !== 0) throw new Error(`the start failed: ${stderr}`);
  const calls = parse(box.read(trace)!);
  return {
    count: calls.length,
    broken: new Map(
      Object.entries(RULES).map(([what, isBroken]) => [
        what,
        calls.filter((call) => isBroken(call, box)).map(({ line }) => line),
      ]),
    ),
  };
}

function parse(trace: string): Call[] {
  return trace.split("\n").flatMap((line) => {
    const [, name, rest] = /^\d+ +(\w+)\((.*)/.exec(line) ?? [];
    if (name === undefined) return [];
    // The arguments of a program are no paths of ours.
    const shown = name.startsWith("exec") ? rest!.split("[")[0]! : rest!;
    const paths = [...shown.matchAll(/"([^"]*)"/g)].map(([, path]) => path!);
    return [{ name, paths, line }];
  });
}

/** What the binary may do beyond calling libc, as it has it written down. */
function permissions(): Row {
  const text = new TextDecoder("latin1").decode(Deno.readFileSync(TEND));
  const found = /"permissions":(\{"allow_all".*?\})/.exec(text)?.[1];
  const granted = Object.entries(JSON.parse(found ?? '{"none":true}'))
    .filter(([name, value]) =>
      (name.startsWith("allow_") ? value !== null && value !== false : false) ||
      name === "none"
    )
    .map(([name]) => name)
    // Deno has hosts there of its own accord, for programs that import.
    .filter((name) => name !== "allow_import");
  const failures = granted.filter((name) => name !== "allow_ffi");
  return {
    what: "the binary may call libc, and nothing else",
    tried: 1,
    held: failures.length === 0 && granted.length === 1 ? 1 : 0,
    failures,
  };
}
