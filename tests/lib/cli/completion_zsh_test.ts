import { zshCompletion } from "../../../lib/cli/completion_zsh.ts";
import { testCompletion } from "../../completion.ts";
import "../../open_libc.ts";

await testCompletion("zsh", zshCompletion);
