import { fishCompletion } from "../../../lib/cli/completion_fish.ts";
import { testCompletion } from "../../completion.ts";
import "../../open_libc.ts";

await testCompletion("fish", fishCompletion);
