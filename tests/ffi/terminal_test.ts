import { assertEquals } from "@std/assert/equals";
import { close } from "../../ffi/descriptor.ts";
import { O_NOCTTY, O_RDONLY, O_RDWR, open } from "../../ffi/file.ts";
import { isTerminal, terminalColumns } from "../../ffi/terminal.ts";
import "../open_libc.ts";

Deno.test("isTerminal() knows a terminal", () => {
  const terminal = open("/dev/ptmx", O_RDWR | O_NOCTTY);
  const other = open("/dev/null", O_RDONLY);
  assertEquals([terminal, other].map(isTerminal), [true, false]);
  close(terminal);
  close(other);
});

Deno.test("terminalColumns() is undefined where there is no width", () => {
  const other = open("/dev/null", O_RDONLY);
  assertEquals(terminalColumns(other), undefined);
  close(other);
});

Deno.test("terminalColumns() is how wide a terminal was made", async () => {
  const source = `import { terminalColumns } from "${new URL(
    "../../ffi/terminal.ts",
    import.meta.url,
  )}"; console.log("columns", terminalColumns(1));`;
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(file, source);
    const deno = `'${Deno.execPath()}' run -q --no-check --allow-ffi '${file}'`;
    const { stdout } = await new Deno.Command("script", {
      args: ["-qec", `stty cols 47; ${deno}`, "/dev/null"],
      stdin: "null",
    }).output();
    assertEquals(
      /columns \d+/.exec(new TextDecoder().decode(stdout))?.[0],
      "columns 47",
    );
  } finally {
    await Deno.remove(file);
  }
});
