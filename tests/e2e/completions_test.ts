import { assertEquals } from "@std/assert/equals";
import { SHELLS } from "../../lib/cli/completion_words.ts";
import { Sandbox } from "../sandbox.ts";
import { lacksShell, TypedShell } from "../shells.ts";

for (const shell of SHELLS) {
  Deno.test({
    name: `tend completions ${shell} prints what ${shell} completes with`,
    ignore: await lacksShell(shell),
    fn: async () => {
      await using box = await Sandbox.create();
      const { code, stdout, stderr } = await box.tend("completions", shell);
      assertEquals({ code, stderr }, { code: 0, stderr: "" });
      using typed = await TypedShell.start(box, shell, stdout);
      assertEquals(
        await typed.type("tend completio\tzs\t"),
        "[completions][zsh]",
      );
      assertEquals(
        await typed.type("tend --det\t--mon\ttrue"),
        "[--detach][--monitor][true]",
      );
    },
  });
}

Deno.test({
  name: "tend completions zsh prints what compinit finds by itself",
  ignore: await lacksShell("zsh"),
  fn: async () => {
    await using box = await Sandbox.create();
    const { stdout } = await box.tend("completions", "zsh");
    await Deno.mkdir(box.path("functions"));
    await Deno.writeTextFile(box.path("functions/_tend"), stdout);
    const setup = "fpath=($HOME/functions $fpath); compinit -D -u";
    using typed = await TypedShell.start(box, "zsh", setup);
    assertEquals(
      await typed.type("tend completio\tzs\t"),
      "[completions][zsh]",
    );
    assertEquals(
      await typed.type("tend run --det\ttrue"),
      "[run][--detach][true]",
    );
  },
});
