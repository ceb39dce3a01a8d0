import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import {
  ENTRY_NOTE,
  ENTRY_NOTE_MAGIC,
  SLOT_VALUE,
} from "../../ffi/entry_note.ts";
import { run } from "../../scripts/command.ts";
import { MACHINES, noteSigpipe } from "../../scripts/entry.ts";
import { Failure } from "../../scripts/failure.ts";

type Architecture = keyof typeof MACHINES;

const READER = import.meta.resolve("../../ffi/entry_note.ts");

/** What the program gets from its caller: how `env` has it, and the slot then. */
const CASES = [
  ["--default-signal=PIPE", "default"],
  ["--ignore-signal=PIPE", "ignored"],
] as const;

/**
 * A program that ends with what is in its slot. Before that it enters itself
 * a second time, as a dynamic loader would, and looks whether all that it
 * handed over came through; 99 if not. Padding and variables are as wanted.
 */
const PROGRAMS: Record<Architecture, string> = {
  x86_64: `
      .globl _start
_start: test %rbx, %rbx; jnz again  # 0 when a process begins
      lea 8(%rsp), %rsi             # argv, then NULL; envp, then NULL
      mov $2, %ecx
1:    lodsq; test %rax, %rax; jnz 1b
      dec %ecx; jnz 1b
2:    lodsq; mov %rax, %rdx; lodsq  # the auxiliary vector
      cmp $9, %rdx; jne 2b          # AT_ENTRY
      mov %rax, %r12
      mov 16(%r12), %r13; add %r12, %r13; movb $0, (%r13)
      mov %rsp, %rbx; mov $0x1234, %edx; jmp *%r12
again: cmp %rsp, %rbx; jne bad
      cmp $0x1234, %rdx; jne bad
      cmpq $1, (%rsp); jne bad      # argc
      movzbl (%r13), %edi
exit: mov $60, %eax; syscall
bad:  mov $99, %edi; jmp exit
      .balign 4096, 0xcc; nop
      .bss; .skip 1
`,
  aarch64: `
      .globl _start
_start: cbnz x20, again             // 0 when a process begins
      add x1, sp, #8                // argv, then NULL; envp, then NULL
      mov x2, #2
1:    ldr x0, [x1], #8; cbnz x0, 1b
      subs x2, x2, #1; b.ne 1b
2:    ldp x0, x21, [x1], #16        // the auxiliary vector
      cmp x0, #9; b.ne 2b           // AT_ENTRY
      ldr x22, [x21, #16]; add x22, x22, x21; strb wzr, [x22]
      mov x20, sp; mov x0, #0x1234; br x21
again: mov x1, sp; cmp x1, x20; b.ne bad
      mov x1, #0x1234; cmp x0, x1; b.ne bad
      ldr x1, [sp]; cmp x1, #1; b.ne bad // argc
      ldrb w0, [x22]
exit: mov x8, #93; svc #0
bad:  mov x0, #99; b exit
      .balign 4096, 0; nop
      .bss; .skip 1
`,
};

/** Debian: binutils-x86-64-linux-gnu, binutils-aarch64-linux-gnu. */
function binutil(architecture: Architecture, name: string): string {
  return `${architecture}-linux-gnu-${name}`;
}

/** What runs a program of a machine; Debian: qemu-user-static. */
function emulator(architecture: Architecture): string[] {
  return Deno.build.arch === architecture
    ? []
    : [`qemu-${architecture}-static`];
}

/** Whether a test is to be left out: never where all tools ought to be. */
async function lacks(tools: string[]): Promise<boolean> {
  if (Deno.env.get("CI")) return false;
  const outcomes = await Promise.all(
    tools.map((tool) => run(tool, ["--version"])),
  );
  return outcomes.some(({ success }) => !success);
}

/** Runs a command that has to succeed. */
async function must(command: string, args: string[]): Promise<string> {
  const { success, stdout, output } = await run(command, args);
  assert(success, `${command}: ${output}`);
  return stdout;
}

/** Assembles a source and links it. */
async function link(
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

async function withTempDir(test: (path: string) => Promise<void>) {
  const path = await Deno.makeTempDir();
  try {
    await test(path);
  } finally {
    await Deno.remove(path, { recursive: true });
  }
}

for (const architecture of ["x86_64", "aarch64"] as const) {
  const tools = ["as", "ld", "objcopy"].map((n) => binutil(architecture, n));

  Deno.test({
    name: `noteSigpipe() writes for ${architecture} what its assembly says`,
    ignore: await lacks(tools),
    fn: () =>
      withTempDir(async (path) => {
        const { lines } = MACHINES[architecture];
        const source = lines.map(([, assembly]) => `${assembly}\n`).join("");
        const elf = image(MACHINES[architecture]);
        noteSigpipe(elf);
        const entry = entryOf(elf);
        await link(architecture, source, `${path}/elf`, [
          `-Ttext=0x${entry.toString(16)}`,
          `--entry=${entry}`,
          `--defsym=slot=${IMAGE.slot}`,
          `--defsym=original=${IMAGE.entry}`,
        ]);
        const copy = ["-Obinary", "-j.text", `${path}/elf`, `${path}/code`];
        await must(binutil(architecture, "objcopy"), copy);
        const code = await Deno.readFile(`${path}/code`);
        assertEquals(hex(elf.subarray(entry, entry + code.length)), hex(code));
      }),
  });

  Deno.test({
    name:
      `noteSigpipe() makes a program for ${architecture} note what its caller had`,
    ignore: await lacks([...tools, ...emulator(architecture)]),
    fn: () =>
      withTempDir(async (path) => {
        const program = `${path}/program`;
        const pie = ["-pie", "--no-dynamic-linker"];
        await link(architecture, PROGRAMS[architecture], program, pie);
        const elf = await Deno.readFile(program);
        noteSigpipe(elf);
        await Deno.writeFile(program, elf);
        for (const [option, expected] of CASES) {
          const { code } = await new Deno.Command("env", {
            args: [option, ...emulator(architecture), program],
          }).output();
          assertEquals(code, SLOT_VALUE[expected], option);
        }
      }),
  });
}

Deno.test("sigpipeAtEntry() tells what noteSigpipe() made an executable note", () =>
  withTempDir(async (path) => {
    // As large and as linked as the one under tend, and the same runtime.
    const program = `${path}/deno`;
    const elf = await Deno.readFile(Deno.execPath());
    noteSigpipe(elf);
    await Deno.writeFile(program, elf, { mode: 0o755 });
    const script = `import { sigpipeAtEntry } from "${READER}";
      console.log(sigpipeAtEntry());`;
    for (const [option, expected] of CASES) {
      const args = [option, `DENO_DIR=${path}`, program, "eval", script];
      const said = await must("env", args);
      assertEquals(said, `${expected}\n`);
    }
  }));

/** The addresses, and offsets, in the image that the tests below begin with. */
const IMAGE = {
  entry: 0x400,
  padding: 0xe00,
  paddingEnd: 0x1000,
  data: 0x2000,
  slot: 0x2fff,
} as const;
const CODE_HEADER = 64;
const DATA_HEADER = CODE_HEADER + 56;
const FLAGS = 4;
const FILESZ = 32;
const MEMSZ = 40;

/** Two pages with code and some padding, and a third with variables. */
function image(machine = MACHINES.x86_64): Uint8Array<ArrayBuffer> {
  const elf = new Uint8Array(IMAGE.slot + 1);
  elf.fill(0x90, CODE_HEADER + 2 * 56, IMAGE.data);
  elf.fill(machine.padding, IMAGE.padding, IMAGE.paddingEnd);
  elf.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  const view = new DataView(elf.buffer);
  view.setUint16(16, 3, true); // e_type: ET_DYN
  view.setUint16(18, machine.number, true);
  setEntry(elf, IMAGE.entry);
  view.setBigUint64(32, BigInt(CODE_HEADER), true);
  view.setUint16(56, 2, true); // e_phnum
  segment(view, CODE_HEADER, 5, 0, IMAGE.data, IMAGE.data);
  segment(view, DATA_HEADER, 6, IMAGE.data, 16, 32);
  return elf;
}

function segment(
  view: DataView,
  at: number,
  flags: number,
  start: number,
  filesz: number,
  memsz: number,
): void {
  view.setUint32(at, 1, true); // p_type: PT_LOAD
  view.setUint32(at + FLAGS, flags, true);
  [start, start, start, filesz, memsz].forEach((value, i) =>
    view.setBigUint64(at + 8 + 8 * i, BigInt(value), true)
  );
}

function entryOf(elf: Uint8Array<ArrayBuffer>): number {
  return Number(new DataView(elf.buffer).getBigUint64(24, true));
}

function setEntry(elf: Uint8Array<ArrayBuffer>, entry: number): void {
  new DataView(elf.buffer).setBigUint64(24, BigInt(entry), true);
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0"))
    .join(" ");
}

Deno.test("noteSigpipe() changes the entry point and the middle of the padding alone", () => {
  const elf = image();
  noteSigpipe(elf);
  // Not a byte within 200 of the code on either side.
  elf.fill(0xcc, IMAGE.padding + 200, IMAGE.paddingEnd - 200);
  setEntry(elf, IMAGE.entry);
  assertEquals(hex(elf), hex(image()));
});

Deno.test("noteSigpipe() leaves a note that says where the slot is", () => {
  const elf = image();
  noteSigpipe(elf);
  const entry = entryOf(elf);
  const view = new DataView(elf.buffer, entry);
  assertEquals(view.getBigUint64(ENTRY_NOTE.magic, true), ENTRY_NOTE_MAGIC);
  const slot = entry + Number(view.getBigInt64(ENTRY_NOTE.slot, true));
  assertEquals(slot, IMAGE.slot);
});

Deno.test("noteSigpipe() takes no padding that does not end where a page begins", () => {
  const elf = image();
  elf.fill(0xcc, IMAGE.paddingEnd + 16, IMAGE.data - 16);
  noteSigpipe(elf);
  assert(entryOf(elf) < IMAGE.paddingEnd);
});

/** What is said, and which image makes it so. */
const REFUSED: Record<string, (view: DataView<ArrayBuffer>) => void> = {
  "it is no 64-bit ELF file": (view) => view.setUint8(0, 0),
  "it is not position-independent": (view) => view.setUint16(16, 2, true),
  "it is for machine 243": (view) => view.setUint16(18, 243, true),
  "its headers are cut off": (view) => view.setBigUint64(32, 0x2fffn, true),
  "its segments are cut off": (view) =>
    view.setBigUint64(DATA_HEADER + FILESZ, 0x1001n, true),
  "its entry point is not in its code": (view) =>
    view.setBigUint64(24, BigInt(IMAGE.data), true),
  "its last segment is not writable": (view) =>
    view.setUint32(DATA_HEADER + FLAGS, 4, true),
  "it has no zeroed variables": (view) =>
    view.setBigUint64(DATA_HEADER + MEMSZ, 16n, true),
  "its variables fill their last page": (view) =>
    view.setBigUint64(DATA_HEADER + MEMSZ, 0xff8n, true),
  "there is not enough padding in its code": ({ buffer }) =>
    new Uint8Array(buffer).fill(0x90, IMAGE.padding, IMAGE.paddingEnd - 112),
};

for (const [reason, spoil] of Object.entries(REFUSED)) {
  Deno.test(`noteSigpipe() changes nothing and throws when ${reason}`, () => {
    const elf = image();
    spoil(new DataView(elf.buffer));
    const before = hex(elf);
    assertThrows(() => noteSigpipe(elf), Failure, `: ${reason}.`);
    assertEquals(hex(elf), before);
  });
}
