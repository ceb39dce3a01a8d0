/**
 * What plain starts and the verbs touch, and what the binary may do.
 *
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { isAsleep, look } from "../proc.ts";
import { Sandbox, TEND } from "../sandbox.ts";
import type { Budget, Row } from "./row.ts";
import { Tally } from "./tally.ts";

/** System calls that change what is at a path. */
const CHANGING =
  /^(?:creat|mkdir|mkdirat|rename|renameat|renameat2|unlink|unlinkat|rmdir|link|linkat|symlink|symlinkat|mknod|mknodat|chmod|fchmodat|chown|lchown|fchownat|truncate|utimensat|setxattr|mount|bind|fchmod|fchown|fsetxattr)$/;
const BY_DESCRIPTOR = /^f(?:chmod|chown|setxattr)$/;
const SOCKET_CALLS =
  /^(?:bind|connect|accept4?|send\w+|recv\w+|get(?:peer|sock)name|[gs]etsockopt)$/;
const OPENING_TO_CHANGE = /O_(?:WRONLY|RDWR|CREAT|TRUNC)/;
/** Files of which each is nobody's: nothing stays of what is written there. */
const SINKS = ["/dev/null", "/dev/tty"];

/** A call with the paths that it names. */
interface Call {
  readonly name: string;
  readonly paths: readonly string[];
  readonly line: string;
}

/** What forbids a call; nothing of most. */
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

/** Starts that stay in the foreground. */
const FOREGROUND = [
  ["--", "/bin/true"],
  ["--monitor", "--pidfile=fore.pid", "--", "/bin/true"],
];

/** What verbs do to a daemon that runs, in this order. */
const VERBS = [
  ["status", "web"],
  ["status", "--all", "--json"],
  ["list"],
  ["logs", "web"],
  ["wait", "--ready", "web"],
  ["kill", "--signal=CONT", "web"],
  ["reopen", "web"],
  ["restart", "web"],
  ["stop", "web"],
  ["wait", "web"],
];

/** Looks at the calls of starts and verbs, and at the binary's permissions. */
export async function hygiene(_budget: Budget): Promise<Row[]> {
  await using box = await Sandbox.create();
  Deno.mkdirSync(box.path("home"));
  const calls = await callsOfStart(box);
  for (const args of FOREGROUND) {
    calls.push(...await callsOf(box, TEND, ...args));
  }
  await startLogged(box);
  for (const args of VERBS) calls.push(...await callsOf(box, TEND, ...args));
  const offences = await callsOf(box, "bash", "-c", OFFENDER, box.dir);
  const found = new Tally(
    "a program that breaks these rules is found, by each",
  );
  const rows = await Promise.all(
    Object.entries(RULES).map(async ([what, isBroken]) => {
      const offenders = offences.filter((call) => isBroken(call, box));
      await found.attempt(
        what,
        () => assertEquals(offenders.length > 0, true, "it is not found"),
      );
      const failures = calls.filter((call) => isBroken(call, box))
        .map(({ line }) => line);
      return {
        what: `plain starts and all verbs: ${what}`,
        tried: calls.length,
        held: calls.length - failures.length,
        failures,
      };
    }),
  );
  const binary = new TextDecoder("latin1").decode(Deno.readFileSync(TEND));
  const more = binary.replace('"allow_read":null', '"allow_read":[]');
  await found.attempt(
    PERMISSIONS,
    () => assertEquals(excessOf(more), ["allow_read"]),
  );
  const permissions = new Tally(PERMISSIONS);
  await permissions.attempt(TEND, () => assertEquals(excessOf(binary), []));
  return [...rows, permissions, found];
}

/** Breaks each rule; "$0" is the sandbox. */
const OFFENDER =
  `: >"$0/outside"; [ -e /tmp/no-such-file ]; [ -e "$0/home/.profile" ]
exec 3<>/dev/udp/127.0.0.1/9`;

/** A start into the background, until its monitor has slept and ended. */
async function callsOfStart(box: Sandbox): Promise<Call[]> {
  const { start, calls } = trace(box, [
    TEND,
    ...["--detach", "--monitor", "--pidfile=web.pid", "--sleep-after=20ms"],
    ...["--", "/bin/sleep", "1000000"],
  ]);
  const pid = await box.until("the monitor sleeps", () => {
    const daemon = box.pidfile("web.pid");
    const monitor = daemon === undefined ? undefined : look(daemon)?.ppid;
    return monitor !== undefined && isAsleep(monitor) ? daemon : undefined;
  });
  Deno.kill(pid, "SIGTERM");
  const { code, stderr } = await start.finished();
  assertEquals([code, stderr], [0, ""]);
  return calls();
}

/** Starts what verbs are about: one with something to show and to reopen. */
async function startLogged(box: Sandbox): Promise<void> {
  const { code, stderr } = await box.tend(
    ...["--detach", "--monitor", "--pidfile=web.pid", "--output=out.log"],
    ...["--log-timestamps", "--sleep-after=20ms"],
    ...["--", "/bin/sh", "-c", "echo hello; exec sleep 1000000"],
  );
  assertEquals([code, stderr], [0, ""]);
}

/** What a program calls, which has to succeed. */
async function callsOf(box: Sandbox, ...argv: string[]): Promise<Call[]> {
  const { start, calls } = trace(box, argv);
  const { code, stderr } = await start.finished();
  assertEquals(code, 0, `${argv.join(" ")}: ${stderr}`);
  return calls();
}

/** Calls with paths, with sockets, and such as change a file that is open. */
const CHANGES = "trace=file,network,fchmod,fchown,fsetxattr";

let traces = 0;

function trace(box: Sandbox, argv: readonly string[]) {
  const file = box.path(`trace${traces++}`);
  const strace = ["strace", "-f", "-qq", "-y", "-s", "4096", "-o", file];
  const start = box.start(
    [...strace, "-e", CHANGES, ...argv],
    { env: { HOME: box.path("home") } },
  );
  return { start, calls: () => parse(box.read(file)!) };
}

function parse(trace: string): Call[] {
  return trace.split("\n").flatMap((line) => {
    const [, name, rest] = /^\d+ +(\w+)\((.*)/.exec(line) ?? [];
    if (name === undefined) return [];
    // The arguments of a program are no paths of ours.
    const shown = name.startsWith("exec") ? rest!.split("[")[0]! : rest!;
    // Nor are a socket's abstract name and what is sent to it.
    const quoted = SOCKET_CALLS.test(name)
      ? /sun_path="([^"]*)"/g
      : BY_DESCRIPTOR.test(name)
      ? /^\d+<([^>]*)>/g
      : /"([^"]*)"/g;
    const paths = [...shown.matchAll(quoted)].map(([, path]) => path!);
    return [{ name, paths, line }];
  });
}

const PERMISSIONS = "the binary may call libc, and nothing else";

/** What a binary may do beyond calling libc, as it has it written down. */
function excessOf(binary: string): string[] {
  const found = /"permissions":(\{"allow_all".*?\})/.exec(binary)?.[1];
  if (found === undefined) return ["anything: no permissions are found"];
  const granted = Object.entries(JSON.parse(found))
    .filter(([name, value]) =>
      name.startsWith("allow_") && value !== null && value !== false
    )
    .map(([name]) => name);
  if (!granted.includes("allow_ffi")) return ["nothing: not libc either"];
  // Deno has hosts for imports there of its own accord.
  return granted.filter((name) =>
    !["allow_import", "allow_ffi"].includes(name)
  );
}
