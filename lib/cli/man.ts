/**
 * `tend man`: the manual page.
 *
 * @module
 */
import { manPage } from "./man_page.ts";
import { print } from "./print.ts";
import { NO_OPERANDS, type Verb } from "./verb.ts";

/** `tend man`. */
export const manVerb: Verb<never> = {
  name: "man",
  summary: "print the manual page, tend(8)",
  description: `Prints the manual page, for man(1) to format.`,
  groups: [],
  operands: NO_OPERANDS,
  statuses: [],
  examples: [
    ["tend man | man -l -", "displays it"],
    [
      "tend man >/usr/local/share/man/man8/tend.8",
      "installs it for all users",
    ],
  ],
  run: ({ verbs }) => {
    print(manPage(verbs));
    return 0;
  },
};
