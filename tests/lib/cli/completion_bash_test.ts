import { bashCompletion } from "../../../lib/cli/completion_bash.ts";
import { testCompletion } from "../../completion.ts";
import "../../open_libc.ts";

await testCompletion("bash", bashCompletion);
