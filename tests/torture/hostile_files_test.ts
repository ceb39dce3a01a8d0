import { hostileFiles } from "./hostile_files.ts";
import { trial } from "./trial.ts";
import "../open_libc.ts";

trial("nothing that is in the way of a file is harmed", hostileFiles, 10);
