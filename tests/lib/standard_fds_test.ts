import { assertEquals } from "@std/assert/equals";
import { ask, CANNOT_UNSHARE, ROOT } from "../program.ts";
import { Sandbox } from "../sandbox.ts";

/** A program that says in a file what it sees of its descriptors. */
const IMPORTS = `
  import { close, closesOnExec } from "${ROOT}/ffi/descriptor.ts";
  import { dupFrom } from "${ROOT}/ffi/duplicate.ts";
  import { O_RDONLY, open } from "${ROOT}/ffi/file.ts";
  import { closeInheritedFds, closeStandardFds } from "${ROOT}/lib/standard_fds.ts";
  const [answer, ...args] = Deno.args;
  const fds = () => Object.fromEntries([...Deno.readDirSync("/proc/self/fd")]
    .flatMap(({ name }) => {
      try { return [[name, Deno.readLinkSync("/proc/self/fd/" + name)]]; }
      catch { return []; }
    }));
  const say = (what) => Deno.writeTextFileSync(answer, JSON.stringify(what));`;

/**
 * Runs a program with its output in two files and its input from a third.
 *
 * @returns What it says.
 */
// deno-lint-ignore no-explicit-any
async function say(source: string, script = '"$@"'): Promise<any> {
  await using box = await Sandbox.create();
  const [answer, input] = [box.path("answer"), box.path("input")];
  Deno.writeTextFileSync(input, "");
  await ask(box, IMPORTS + source, {
    args: [answer, input],
    under: ["sh", "-c", `exec <${input}; ${script}`, "sh"],
  });
  return JSON.parse(Deno.readTextFileSync(answer));
}

Deno.test("closeStandardFds() leaves no descriptor of the caller's files, Deno's own neither", async () => {
  const [before, after] = await say(`
    const before = fds();
    closeStandardFds();
    say([before, fds()]);`);
  const files = new Set([0, 1, 2].map((fd) => before[fd]));
  assertEquals(files.size, 3);
  const left = Object.entries(after)
    .filter(([, file]) => files.has(file as string));
  assertEquals(left, []);
  assertEquals([0, 1, 2].map((fd) => after[fd]), Array(3).fill("/dev/null"));
});

Deno.test("closeStandardFds() leaves as many descriptors as there were", async () => {
  const [before, after] = await say(`
    closeStandardFds();
    const before = Object.keys(fds());
    closeStandardFds();
    say([before, Object.keys(fds())]);`);
  assertEquals(after, before);
});

Deno.test("closeStandardFds() lets the standard ones be inherited, and no others", async () => {
  const [standard, others] = await say(`
    const before = fds();
    closeStandardFds();
    const others = Object.entries(fds())
      .filter(([fd, file]) => Number(fd) > 2 && file !== before[fd]);
    say([
      [0, 1, 2].map(closesOnExec),
      others.map(([fd]) => closesOnExec(Number(fd))),
    ]);`);
  assertEquals(standard, [false, false, false]);
  assertEquals(others.every((closes: boolean) => closes), true);
});

Deno.test("closeStandardFds() leaves the duplicate that is to be kept", async () => {
  const [before, after] = await say(`
    const kept = dupFrom(2, 3, true);
    const before = fds()[kept];
    closeStandardFds(kept);
    say([before, fds()[kept]]);`);
  assertEquals(after, before);
});

Deno.test("closeStandardFds() leaves a duplicate that the program lets others inherit", async () => {
  const [before, after] = await say(`
    const mine = dupFrom(1, 3, false);
    const before = fds()[mine];
    closeStandardFds();
    say([before, fds()[mine]]);`);
  assertEquals(after, before);
});

Deno.test("closeStandardFds() leaves a file that the program has opened itself", async () => {
  // As a log to which the caller has sent our output too.
  const text = await say(`
    const mine = Deno.openSync(args[0], { append: true });
    closeStandardFds();
    mine.writeSync(new TextEncoder().encode("mine"));
    say(Deno.readTextFileSync(args[0]));`);
  assertEquals(text, "mine");
});

Deno.test("closeStandardFds() takes descriptors that are closed already", async () => {
  const after = await say(
    `
    closeStandardFds();
    say(fds());`,
    'exec 0<&- 1>&-; "$@"',
  );
  assertEquals([0, 1, 2].map((fd) => after[fd]), Array(3).fill("/dev/null"));
});

Deno.test("closeStandardFds() does its work without a free descriptor", async () => {
  const [before, taken, after] = await say(
    `
    const before = fds();
    const taken = [];
    try {
      for (;;) taken.push(open("/dev/zero", O_RDONLY));
    } catch {
      closeStandardFds();
    }
    // For the answer.
    for (const fd of taken.splice(-3)) close(fd);
    say([before, taken, fds()]);`,
    'ulimit -n 64; "$@"',
  );
  assertEquals(taken.length > 5, true);
  const files = new Set([0, 1, 2].map((fd) => before[fd]));
  const left = Object.entries(after)
    .filter(([, file]) => files.has(file as string));
  assertEquals(left, []);
  assertEquals([0, 1, 2].map((fd) => after[fd]), Array(3).fill("/dev/null"));
  // Deno's own numbers are not free for others.
  const own = Object.keys(before).filter((fd) =>
    Number(fd) > 2 && files.has(before[fd])
  );
  assertEquals(own.length > 0, true);
  assertEquals(own.map((fd) => after[fd]), own.map(() => "/dev/null"));
});

for (const missing of ["/dev", "/proc"]) {
  Deno.test({
    name: `closeStandardFds() lets go of the caller's files without ${missing}`,
    ignore: CANNOT_UNSHARE,
    fn: async () => {
      const [isError, left, open] = await say(
        `
        import { dup3, isDuplicate } from "${ROOT}/ffi/duplicate.ts";
        const callers = [20, 21, 22];
        callers.forEach((fd, i) => dup3(i, fd, 0));
        let isError = false;
        try { closeStandardFds(); } catch { isError = true; }
        const left = Array.from({ length: 300 }, (_, fd) => fd).filter((fd) =>
          !callers.includes(fd) && callers.some((of) => isDuplicate(fd, of)));
        const open = [0, 1, 2].map((fd) => closesOnExec(fd));
        say([isError, left, open]);`,
        `unshare ${
          Deno.uid() === 0 ? "" : "--user --map-root-user"
        } --mount sh -c 'mount -t tmpfs tmpfs ${missing}; "$@"' sh "$@"`,
      );
      assertEquals(isError, missing === "/dev");
      assertEquals([left, open], [[], [false, false, false]]);
    },
  });
}

Deno.test("closeInheritedFds() closes what the caller has handed down above 2", async () => {
  const [before, after] = await say(
    `
    const before = fds();
    closeInheritedFds();
    say([before, fds()]);`,
    '"$@" 7</dev/zero 8</dev/full',
  );
  assertEquals([before[7], before[8]], ["/dev/zero", "/dev/full"]);
  assertEquals([after[7], after[8]], [undefined, undefined]);
  assertEquals([0, 1, 2].map((fd) => after[fd]), [
    before[0],
    before[1],
    before[2],
  ]);
});

Deno.test("closeInheritedFds() leaves those that it is to keep", async () => {
  const after = await say(
    `
    closeInheritedFds([8]);
    say(fds());`,
    '"$@" 7</dev/zero 8</dev/full',
  );
  assertEquals([after[7], after[8]], [undefined, "/dev/full"]);
});

Deno.test("closeInheritedFds() leaves what is closed on exec", async () => {
  const file = await say(`
    const mine = open("/dev/zero", O_RDONLY);
    closeInheritedFds();
    say(fds()[mine]);`);
  assertEquals(file, "/dev/zero");
});
