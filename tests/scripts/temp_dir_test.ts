import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { Failure } from "../../scripts/failure.ts";
import { replaceTempDir } from "../../scripts/temp_dir.ts";
import { Sandbox, TEND } from "../sandbox.ts";
import { IMAGE, image } from "./image.ts";

function imageWith(text: string): Uint8Array<ArrayBuffer> {
  const elf = image();
  elf.set(new TextEncoder().encode(text), IMAGE.padding);
  return elf;
}

Deno.test("replaceTempDir() replaces Rust's name of the variable alone", () => {
  const elf = imageWith(
    'SQLITE_TMPDIR\0TMPDIR\0get("TMPDIR")mounted?TMPDIRlib',
  );
  replaceTempDir(elf);
  assertEquals(
    elf,
    imageWith(
      'SQLITE_TMPDIR\0TMPDIR\0get("TMPDIR")mounted?\x01TEND\x01lib',
    ),
  );
});

for (
  const [times, text] of [[0, "TMPDIR\0"], [2, "aTMPDIRb TMPDIRc"]] as const
) {
  Deno.test(`replaceTempDir() changes nothing and throws when it is there ${times} times`, () => {
    const elf = imageWith(text);
    assertThrows(() => replaceTempDir(elf), Failure, ` ${times} times.`);
    assertEquals(elf, imageWith(text));
  });
}

for (const directory of ["", "relative", "/no/such"]) {
  Deno.test(`tend starts, and leaves TMPDIR=${directory} to COMMAND`, async () => {
    await using box = await Sandbox.create();
    const script = 'echo "TMPDIR=$TMPDIR"';
    const ran = await box.run([TEND, "--", "sh", "-c", script], {
      env: { TMPDIR: directory },
    });
    assertEquals(ran, { code: 0, stdout: `TMPDIR=${directory}\n`, stderr: "" });
  });
}
