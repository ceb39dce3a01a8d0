import { assertThrows } from "@std/assert/throws";
import {
  checkLogFilePlace,
  checkPidfilePlace,
} from "../../lib/unsafe_place.ts";
import { Sandbox } from "../sandbox.ts";
import "../open_libc.ts";

const USER = 65534;
const OTHER = 65533;

/** What to make in the box: a directory's owner and mode, or a link. */
type Entry = readonly [name: string, owner: number, mode: number | string];

interface Case {
  readonly what: string;
  readonly entries: readonly Entry[];
  /** The directory of the file; `a/b` by default. */
  readonly directory?: string;
  readonly pidfile: "taken" | "refused";
  readonly log: "taken" | "refused";
}

const CASES: readonly Case[] = [
  {
    what: "root's directories",
    entries: [["a", 0, 0o755], ["a/b", 0, 0o755]],
    pidfile: "taken",
    log: "taken",
  },
  {
    what: "a directory that is not there yet",
    entries: [["a", 0, 0o755]],
    pidfile: "taken",
    log: "taken",
  },
  {
    what: "the user's own directory in root's",
    entries: [["a", 0, 0o755], ["a/b", USER, 0o755]],
    pidfile: "taken",
    log: "refused",
  },
  {
    what: "another user's directory",
    entries: [["a", 0, 0o755], ["a/b", OTHER, 0o755]],
    pidfile: "refused",
    log: "refused",
  },
  {
    what: "root's directory in the user's",
    entries: [["a", USER, 0o755], ["a/b", 0, 0o755]],
    pidfile: "refused",
    log: "refused",
  },
  {
    what: "a directory that is not there yet in the user's",
    entries: [["a", USER, 0o755]],
    pidfile: "refused",
    log: "refused",
  },
  {
    what: "the user's directory that the group may write to",
    entries: [["a", 0, 0o755], ["a/b", USER, 0o775]],
    pidfile: "refused",
    log: "refused",
  },
  {
    what: "root's directory that everybody may write to",
    entries: [["a", 0, 0o755], ["a/b", 0, 0o777]],
    pidfile: "refused",
    log: "refused",
  },
  {
    what: "root's directory with the sticky bit, as /tmp is",
    entries: [["a", 0, 0o755], ["a/b", 0, 0o1777]],
    pidfile: "taken",
    log: "refused",
  },
  {
    what: "root's directory in one with the sticky bit",
    entries: [["a", 0, 0o1777], ["a/b", 0, 0o755]],
    pidfile: "taken",
    log: "taken",
  },
  {
    what: "root's link to root's directory",
    entries: [["c", 0, 0o755], ["a", 0, "c"], ["c/b", 0, 0o755]],
    pidfile: "taken",
    log: "taken",
  },
  {
    what: "root's link to where the user can put another",
    entries: [
      ["c", USER, 0o755],
      ["c/d", 0, 0o755],
      ["a", 0, "c/d"],
      ["c/d/b", 0, 0o755],
    ],
    pidfile: "refused",
    log: "refused",
  },
  {
    what: "the user's link in a directory with the sticky bit",
    entries: [["a", 0, 0o1777], ["c", 0, 0o755], ["a/b", USER, "../c"]],
    pidfile: "refused",
    log: "refused",
  },
  {
    what: "a way back out of root's directory",
    entries: [["a", 0, 0o755], ["a/b", 0, 0o755]],
    directory: "a/b/../b",
    pidfile: "taken",
    log: "taken",
  },
  {
    what: "links without end",
    entries: [["a", 0, "b"], ["b", 0, "a"]],
    pidfile: "refused",
    log: "refused",
  },
];

for (const { what, entries, directory = "a/b", ...expected } of CASES) {
  for (
    const [kind, check] of [
      ["pidfile", (file: string) => checkPidfilePlace(file, USER)],
      ["log", checkLogFilePlace],
    ] as const
  ) {
    const name = kind === "pidfile"
      ? "checkPidfilePlace()"
      : "checkLogFilePlace()";
    Deno.test({
      name: `${name}: ${what} is ${expected[kind]}`,
      // Nobody else can give files away.
      ignore: Deno.uid() !== 0,
      fn: async () => {
        await using box = await Sandbox.create();
        for (const [name, owner, mode] of entries) {
          const path = box.path(name);
          if (typeof mode === "string") Deno.symlinkSync(mode, path);
          else Deno.mkdirSync(path);
          new Deno.Command("chown", { args: ["-h", `${owner}`, path] })
            .outputSync();
          if (typeof mode === "number") Deno.chmodSync(path, mode);
        }
        const file = box.path(`${directory}/x`);
        if (expected[kind] === "taken") check(file);
        else assertThrows(() => check(file), Error, `${file}: `);
      },
    });
  }
}
