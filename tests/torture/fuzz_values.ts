/**
 * Values of options: durations, signals, sizes, limits.
 *
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import fc from "fast-check";
import { RLIM_INFINITY, RLIMITS } from "../../ffi/limit.ts";
import { readOutputs } from "../../lib/cli/output_options.ts";
import { surroundingsOf } from "../../lib/cli/surroundings_options.ts";
import { parseDuration } from "../../lib/duration.ts";
import { UsageError } from "../../lib/options.ts";
import { parseSignal, signalName } from "../../lib/signal_name.ts";
import { nearly, type Property, valueOrError } from "./properties.ts";

const TIME_UNITS = { ms: 1, s: 1e3, m: 6e4, h: 36e5, d: 864e5 };
const MOST_MS = 3650 * TIME_UNITS.d;

const SIGNALS = Array.from({ length: 64 }, (_, i) => i + 1)
  .filter((signal) => signal !== 32 && signal !== 33);

const AMOUNT_UNITS = { "": 0n, K: 10n, k: 10n, M: 20n, m: 20n, G: 30n, g: 30n };
/** Nearly sizes and numbers; with a letter that becomes a k when it is made small. */
const AMOUNTS = ["1", "10M", "4k", "9G", "K", ",", "\u212a", "9".repeat(20)];

/** A number and its unit, and what they are together. */
const AMOUNT = fc.tuple(
  fc.bigInt({ min: 0n, max: 1n << 40n }),
  fc.constantFrom(
    ...Object.keys(AMOUNT_UNITS) as (keyof typeof AMOUNT_UNITS)[],
  ),
).map(([number, unit]) => ({
  text: `${number}${unit}`,
  amount: number << AMOUNT_UNITS[unit],
}));

/** A limit's value. */
const BOUND = fc.oneof(
  AMOUNT,
  fc.constant({ text: "unlimited", amount: RLIM_INFINITY }),
);

/** No more files are kept of a log. */
const MOST_FILES = 999;

const RESOURCES = Object.keys(RLIMITS) as (keyof typeof RLIMITS)[];

function isBound({ text, amount }: { text: string; amount: bigint }): boolean {
  return text === "unlimited" || amount < RLIM_INFINITY;
}

/** Whether a number is a time that an option can have, in ms. */
export function isTime(ms: number): boolean {
  return Number.isInteger(ms) && ms >= 0 && ms <= MOST_MS;
}

function rotationIn(
  value: string,
): { size: number; count: number } | undefined {
  const outputs = valueOrError(UsageError, () =>
    readOutputs([
      { name: "output", value: "/o" },
      { name: "log-rotate", value },
    ]));
  return outputs?.logging?.rotate;
}

function limitsIn(...values: readonly string[]) {
  return valueOrError(
    UsageError,
    () => surroundingsOf(values.map((value) => ({ name: "limit", value }))),
  )?.limits;
}

/** Those of values. */
export function fuzzValues(): Property[] {
  return [
    {
      what: "parseDuration() is the time, whatever its unit",
      property: fc.property(
        fc.nat(300_000_000),
        fc.constantFrom("ms", "s", "m", "h", "d", ""),
        (number, unit) => {
          const ms = number * TIME_UNITS[unit as "s" || "s"];
          const parsed = valueOrError(
            TypeError,
            () => parseDuration(`${number}${unit}`),
          );
          assertEquals(parsed, ms > MOST_MS ? undefined : ms);
        },
      ),
    },
    {
      what: "parseDuration() refuses what is none, or has a whole number of ms",
      property: fc.property(
        nearly([
          "1",
          ".",
          "5",
          "ms",
          "s",
          "m",
          "1e9",
          "-1",
          "Infinity",
          "9".repeat(400),
        ]),
        (text) => {
          const ms = valueOrError(TypeError, () => parseDuration(text));
          assert(ms === undefined || isTime(ms));
        },
      ),
    },
    {
      what: "parseSignal() is the signal of each of its names",
      property: fc.property(
        fc.constantFrom(...SIGNALS),
        fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }),
        fc.boolean(),
        (signal, small, withSig) => {
          const name = signalName(signal);
          const text = name.startsWith("SIG")
            ? [...(withSig ? name : name.slice(3))]
              .map((c, i) => small[i] ? c.toLowerCase() : c).join("")
            : signal < 50
            ? `RTMIN+${signal - 34}`
            : `RTMAX-${64 - signal}`;
          assertEquals(parseSignal(text), signal);
          assertEquals(parseSignal(`${signal}`), signal);
        },
      ),
    },
    {
      what: "parseSignal() refuses what is none",
      property: fc.property(
        nearly([
          ...["HUP", "SIG", "TERM", "RTMIN", "RTMAX", "+", "1", "32", "33"],
          // Letters that become an S or an I when they are made large.
          ...["\u017fIGHUP", "\u0131NT", "S\u0131GHUP"],
        ]),
        (text) => {
          const signal = valueOrError(TypeError, () => parseSignal(text));
          if (signal === undefined) return;
          assert(SIGNALS.includes(signal));
          assert(/^[\0-\x7f]+$/.test(text), JSON.stringify(text));
        },
      ),
    },
    {
      what: "--log-rotate is the size and the count that it says",
      property: fc.property(
        AMOUNT,
        fc.option(fc.nat(1200), { nil: undefined }),
        ({ text, amount }, count) => {
          const isGood = amount > 0n &&
            amount <= BigInt(Number.MAX_SAFE_INTEGER) &&
            (count === undefined || count >= 1 && count <= MOST_FILES);
          const value = count === undefined ? text : `${text},${count}`;
          const rotation = rotationIn(value);
          assertEquals(rotation !== undefined, isGood, value);
          if (rotation === undefined) return;
          assertEquals(rotation.size, Number(amount));
          if (count !== undefined) assertEquals(rotation.count, count);
        },
      ),
    },
    {
      what: "--log-rotate refuses what is none, or has a size and a count",
      property: fc.property(nearly(AMOUNTS), (text) => {
        const rotation = rotationIn(text);
        if (rotation === undefined) return;
        const { size, count } = rotation;
        assert(/^[\0-\x7f]+$/.test(text), JSON.stringify(text));
        assert(Number.isSafeInteger(size) && size >= 1, `${size}`);
        assert(Number.isSafeInteger(count) && count >= 1, `${count}`);
        assert(count <= MOST_FILES, `${count}`);
      }),
    },
    {
      what: "--limit is what it says, the last one of each resource",
      property: fc.property(
        fc.array(
          fc.tuple(fc.constantFrom(...RESOURCES), BOUND, fc.option(BOUND)),
          {
            minLength: 1,
            maxLength: 5,
          },
        ),
        (given) => {
          const words = given.map(([name, soft, hard]) =>
            `${name}=${soft.text}${hard === null ? "" : `:${hard.text}`}`
          );
          const isGood = given.every(([, soft, hard]) =>
            isBound(soft) && (hard === null ||
              isBound(hard) && soft.amount <= hard.amount)
          );
          const limits = limitsIn(...words);
          assertEquals(limits !== undefined, isGood, `${words}`);
          if (limits === undefined) return;
          const wanted = new Map(
            given.map((
              [name, soft, hard],
            ) => [name, {
              name,
              soft: soft.amount,
              hard: (hard ?? soft).amount,
            }]),
          );
          assertEquals(
            new Map(limits.map((limit) => [limit.name, limit])),
            wanted,
          );
        },
      ),
    },
    {
      what:
        "--limit refuses what is none, or has two limits that the kernel takes",
      property: fc.property(
        nearly([...RESOURCES, "nofile=", ":", "unlimited", ...AMOUNTS]),
        (text) => {
          for (const { name, soft, hard } of limitsIn(text) ?? []) {
            assert(
              RESOURCES.includes(name) && text.startsWith(`${name}=`),
              text,
            );
            assert(soft >= 0n && soft <= hard && hard <= RLIM_INFINITY, text);
            assert(/^[\0-\x7f]+$/.test(text), JSON.stringify(text));
          }
        },
      ),
    },
  ];
}
