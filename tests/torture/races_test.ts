import { races } from "./races.ts";
import { trial } from "./trial.ts";
import "../open_libc.ts";

trial("a pidfile has one daemon, whatever comes at once", races, 12);
