import { storms } from "./storms.ts";
import { trial } from "./trial.ts";
import "../open_libc.ts";

trial("what crashes comes back, and its monitor says how", storms, 15);
