import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { fromBytes, toBytes } from "../../ffi/c_string.ts";
import { waitReadable } from "../../ffi/wait.ts";
import { LogFollower } from "../../lib/log_follower.ts";
import { openTail } from "../../lib/log_tail.ts";
import { openFdCount } from "../descriptors.ts";
import { ROOT, startProgram } from "../program.ts";
import { forAny, type Random } from "../random.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

/** A follower of a file, and what it has read. */
class Reader implements Disposable {
  text = "";
  losses = 0;
  readonly #follower: LogFollower;

  constructor(readonly file: string, count: number, lines = 0) {
    const names = { file: toBytes(file), count, owner: undefined };
    this.#follower = new LogFollower(
      names,
      openTail(names, lines),
      () => this.losses++,
    );
  }

  /** What is new. */
  look(): string {
    const { length } = this.text;
    this.#follower.look((block) => this.text += fromBytes(block));
    return this.text.slice(length);
  }

  /** Whether it would be woken. */
  get isWoken(): boolean {
    const { fds } = this.#follower.next;
    return fds.length > 0 && waitReadable(fds, 0) !== undefined;
  }

  /** Waits until it is. */
  wait(): void {
    const { fds, until } = this.#follower.next;
    assertEquals(until, Infinity);
    assert(waitReadable(fds, 30_000) !== undefined);
  }

  [Symbol.dispose](): void {
    this.#follower.stop();
  }
}

function append(path: string, text: string): void {
  Deno.writeTextFileSync(path, text, { append: true });
}

/** Renames FILE.1 to FILE.2 and so on, and FILE to FILE.1. */
function rotate(file: string, count: number): void {
  for (let age = count; age > 0; age--) {
    try {
      Deno.renameSync(
        age === 1 ? file : `${file}.${age - 1}`,
        `${file}.${age}`,
      );
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

async function withFile(
  text?: string,
): Promise<Sandbox & { readonly file: string }> {
  const box = await Sandbox.create();
  const file = box.path("web.out");
  if (text !== undefined) Deno.writeTextFileSync(file, text);
  return Object.assign(box, { file });
}

Deno.test("LogFollower begins with the last lines, and is woken by more", async () => {
  await using box = await withFile("a\nb\n");
  using reader = new Reader(box.file, 0, 1);
  assertEquals(reader.look(), "b\n");
  assertEquals(reader.isWoken, false);
  append(box.file, "c\nd");
  assertEquals(reader.isWoken, true);
  assertEquals([reader.look(), reader.isWoken], ["c\nd", false]);
});

Deno.test("LogFollower is not woken by another file that is written", async () => {
  await using box = await withFile("a\n");
  append(box.path("other"), "");
  using reader = new Reader(box.file, 0);
  reader.look();
  append(box.path("other"), "x\n");
  assertEquals(reader.isWoken, false);
});

Deno.test("LogFollower waits for a file that is not there yet", async () => {
  await using box = await withFile();
  using reader = new Reader(box.file, 0);
  assertEquals([reader.look(), reader.isWoken], ["", false]);
  append(box.file, "a\n");
  assertEquals([reader.isWoken, reader.look()], [true, "a\n"]);
});

Deno.test("LogFollower reads the rest of a renamed file before the new one", async () => {
  await using box = await withFile();
  using reader = new Reader(box.file, 2);
  append(box.file, "a\n");
  reader.look();
  append(box.file, "b\n");
  rotate(box.file, 2);
  append(box.file, "c\n");
  assertEquals([reader.isWoken, reader.look()], [true, "b\nc\n"]);
});

Deno.test("LogFollower goes on in a renamed file until there is something in the new one", async () => {
  await using box = await withFile("a\n");
  using reader = new Reader(box.file, 0, 9);
  reader.look();
  rotate(box.file, 1);
  assertEquals(reader.look(), "");
  append(box.file, "");
  assertEquals(reader.look(), "");
  // The writer has not heard of it yet.
  append(`${box.file}.1`, "b\n");
  assertEquals([reader.isWoken, reader.look()], [true, "b\n"]);
  append(`${box.file}.1`, "c\n");
  append(box.file, "d\n");
  assertEquals([reader.isWoken, reader.look()], [true, "c\nd\n"]);
  append(box.file, "e\n");
  assertEquals([reader.isWoken, reader.look()], [true, "e\n"]);
});

Deno.test("LogFollower reads all files that came between two looks", async () => {
  await using box = await withFile("a\n");
  using reader = new Reader(box.file, 3, 9);
  reader.look();
  for (const text of ["b\n", "", "c\n"]) {
    rotate(box.file, 3);
    append(box.file, text);
  }
  assertEquals([reader.look(), reader.losses], ["b\nc\n", 0]);
});

for (
  const [what, name] of [["a date", "web.out-20260101"], ["no name", undefined]]
) {
  Deno.test(`LogFollower goes on in FILE when the old one has ${what} instead of a number`, async () => {
    await using box = await withFile("a\n");
    append(`${box.file}.1`, "of last year\n");
    using reader = new Reader(box.file, 0, 1);
    reader.look();
    append(box.file, "b\n");
    if (name === undefined) Deno.removeSync(box.file);
    else Deno.renameSync(box.file, box.path(name));
    assertEquals(reader.look(), "b\n");
    append(box.file, "c\n");
    assertEquals([reader.isWoken, reader.look()], [true, "c\n"]);
  });
}

Deno.test("LogFollower does not begin anew when somebody removes FILE", async () => {
  await using box = await withFile("b\n");
  append(`${box.file}.1`, "a\n");
  using reader = new Reader(box.file, 2, 1);
  reader.look();
  Deno.removeSync(box.file);
  append(box.file, "c\n");
  rotate(box.file, 2);
  append(box.file, "d\n");
  assertEquals([reader.look(), reader.losses], ["c\nd\n", 0]);
});

Deno.test("LogFollower says when files may have gone before it saw them", async () => {
  await using box = await withFile("1\n");
  using reader = new Reader(box.file, 2, 9);
  reader.look();
  for (let i = 2; i < 8; i++) {
    rotate(box.file, 2);
    append(box.file, `${i}\n`);
  }
  // What is kept is shown.
  assertEquals([reader.look(), reader.losses], ["5\n6\n7\n", 1]);
});

Deno.test("LogFollower begins anew in a file that was copied and cut", async () => {
  await using box = await withFile("a\nb\n");
  using reader = new Reader(box.file, 0);
  reader.look();
  Deno.copyFileSync(box.file, `${box.file}.1`);
  Deno.truncateSync(box.file);
  assertEquals([reader.isWoken, reader.look()], [true, ""]);
  append(box.file, "c\n");
  assertEquals([reader.isWoken, reader.look()], [true, "c\n"]);
});

Deno.test("LogFollower finds the file when its directory is another", async () => {
  await using box = await Sandbox.create();
  const dir = box.path("logs");
  Deno.mkdirSync(dir);
  append(`${dir}/out`, "a\n");
  using reader = new Reader(`${dir}/out`, 0, 1);
  reader.look();
  Deno.renameSync(dir, box.path("old"));
  Deno.mkdirSync(dir);
  assertEquals([reader.isWoken, reader.look()], [true, ""]);
  append(`${dir}/out`, "b\n");
  assertEquals([reader.isWoken, reader.look()], [true, "b\n"]);
});

Deno.test("LogFollower closes all that it has opened", async () => {
  await using box = await withFile("a\n");
  const count = openFdCount();
  {
    using reader = new Reader(box.file, 5, 9);
    for (let i = 0; i < 20; i++) {
      rotate(box.file, 5);
      append(box.file, "b\n");
      reader.look();
      // The one that is read, the one before, and a watch.
      assertEquals(openFdCount(), count + 3);
    }
  }
  assertEquals(openFdCount(), count);
});

function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Somebody who writes lines and rotates, in steps that others see. */
class Writer {
  readonly #random: Random;
  readonly #file: string;
  readonly #count: number;
  readonly #isOutside: boolean;
  #fd: Deno.FsFile;
  #steps: (() => void)[] = [];
  lines = 0;
  rotations = 0;

  constructor(random: Random, file: string, count: number, isOutside: boolean) {
    this.#random = random;
    this.#file = file;
    this.#count = count;
    this.#isOutside = isOutside;
    this.#fd = this.#open();
  }

  #open(): Deno.FsFile {
    return Deno.openSync(this.#file, { append: true, create: true });
  }

  write(): void {
    this.#fd.writeSync(toBytes(`${this.lines++}\n`));
  }

  /** Does the next step, the first of a rotation where it is not in one. */
  step(): void {
    if (this.#steps.length === 0) {
      this.#steps = this.#rotation();
      this.rotations++;
    }
    this.#steps.shift()!();
    // Our logger writes nothing meanwhile; others know nothing of it.
    if (this.#steps.length > 0 && !this.#isOutside) this.step();
    else if (this.#random.below(2) === 0) this.write();
  }

  #rotation(): (() => void)[] {
    const rename = (age: number) => () => {
      try {
        const from = age === 1 ? this.#file : `${this.#file}.${age - 1}`;
        // A file system may wait for the disk when one is replaced.
        if (age === this.#count) removeIfThere(`${this.#file}.${age}`);
        Deno.renameSync(from, `${this.#file}.${age}`);
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    };
    const ages = Array.from({ length: this.#count }, (_, i) => this.#count - i);
    return [
      ...ages.map(rename),
      ...this.#isOutside ? [() => this.#open().close()] : [],
      () => {
        this.#fd.close();
        this.#fd = this.#open();
      },
    ];
  }

  close(): void {
    this.#fd.close();
  }
}

for (const isOutside of [false, true]) {
  const who = isOutside ? "another program" : "the writer";
  Deno.test(`LogFollower reads each line once, however ${who} rotates`, async () => {
    await using box = await Sandbox.create();
    forAny((random) => {
      const dir = box.path("logs");
      Deno.mkdirSync(dir);
      const file = `${dir}/out`;
      // The look may have been in the midst of another program's rotation.
      const most = 1 + random.below(3);
      const count = isOutside ? most + 1 : most;
      const writer = new Writer(random, file, count, isOutside);
      using reader = new Reader(file, isOutside ? 0 : count, 9);
      let last = 0;
      for (let i = random.below(40); i > 0; i--) {
        // What has gone before a look cannot be read.
        const mustLook = writer.rotations - last >= most;
        switch (mustLook ? 0 : random.below(4)) {
          case 0:
            reader.look();
            last = writer.rotations;
            break;
          case 1:
            writer.step();
            break;
          default:
            writer.write();
        }
      }
      reader.look();
      writer.close();
      const expected = Array.from({ length: writer.lines }, (_, i) => `${i}\n`);
      assertEquals([reader.text, reader.losses], [expected.join(""), 0]);
      Deno.removeSync(dir, { recursive: true });
    });
  });
}

Deno.test("LogFollower reads each line once while another process rotates at full speed", async () => {
  await using box = await withFile("");
  const [rotations, count] = [600, 8];
  using reader = new Reader(box.file, count);
  // It waits for the reader only where files would be lost.
  const writer = startProgram(
    box,
    `
    import { isThere } from "${ROOT}/ffi/access.ts";
    import { waitReadable } from "${ROOT}/ffi/wait.ts";
    const [file, rotations, count] = [Deno.args[0], ${rotations}, ${count}];
    let line = 0;
    for (let i = 0; i < rotations; i++) {
      const out = Deno.openSync(file, { append: true, create: true });
      for (let j = 0; j < 5; j++) {
        out.writeSync(new TextEncoder().encode(\`\${line++}\\n\`));
      }
      out.close();
      while (i % (count - 1) === 0 && !isThere(\`\${file}.read\${i}\`)) {
        waitReadable([], 1);
      }
      for (let age = count; age > 0; age--) {
        try {
          const from = age === 1 ? file : \`\${file}.\${age - 1}\`;
          Deno.renameSync(from, \`\${file}.\${age}\`);
        } catch (error) {
          if (!(error instanceof Deno.errors.NotFound)) throw error;
        }
      }
    }
    Deno.writeTextFileSync(file, "end\\n");`,
    { args: [box.file] },
  );
  let acknowledged = 0;
  while (!reader.text.endsWith("end\n")) {
    reader.look();
    for (; acknowledged * 5 + 5 <= lastLine(reader.text) + 1; acknowledged++) {
      append(`${box.file}.read${acknowledged}`, "");
    }
    if (!reader.text.endsWith("end\n")) reader.wait();
  }
  assertEquals((await writer.finished()).stderr, "");
  const lines = Array.from({ length: rotations * 5 }, (_, i) => `${i}\n`);
  assertEquals(
    [reader.text, reader.losses],
    [`${lines.join("")}end\n`, 0],
  );
});

/** The number of the last line that was read whole. */
function lastLine(text: string): number {
  const end = text.lastIndexOf("\n");
  const line = text.slice(text.lastIndexOf("\n", end - 1) + 1, end);
  return line === "" || line === "end" ? -1 : Number(line);
}
