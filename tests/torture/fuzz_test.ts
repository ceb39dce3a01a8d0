import { fuzz } from "./fuzz.ts";
import { trial } from "./trial.ts";
import "../open_libc.ts";

trial("what comes from outside is a value or an error", fuzz, 5);
