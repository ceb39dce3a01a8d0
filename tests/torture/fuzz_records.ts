/**
 * Records that are handed from one process to the next, with anything in them.
 *
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import fc from "fast-check";
import { InvalidField } from "../../lib/fields.ts";
import {
  decodeMonitorState,
  encodeMonitorState,
} from "../../lib/monitor_record.ts";
import { decodeStage, encodeStage, type Stage } from "../../lib/stage.ts";
import { anyState } from "../lib/any_state.ts";
import { Random } from "../random.ts";
import type { Property } from "./properties.ts";

const INT_MAX = 0x7fff_ffff;

/** A monitor's state. */
const STATE = fc.integer().map((seed) => anyState(new Random(seed)));

/** A stage of any role. */
const STAGE: fc.Arbitrary<Stage> = fc.oneof(
  fc.record({
    role: fc.constant("woken" as const),
    state: STATE.map((state) => ({ ...state, notifyFd: -1 })),
    keptFd: fc.integer({ min: 3, max: INT_MAX }),
    cwdFd: fc.integer({ min: 3, max: INT_MAX }),
  }),
  fc.record({
    role: fc.constantFrom(...["detached", "monitor", "daemon"] as const),
    notifyFd: fc.integer({ min: -1, max: INT_MAX }),
    coreDumped: fc.boolean(),
  }),
  fc.constant({ role: "trial" as const }),
);

const PID = fc.integer({ min: 1, max: INT_MAX });

/** A value that is likely to be another's kind. */
const HOSTILE = fc.oneof(
  fc.constantFrom(undefined, null, -1, -2, 0.5, 2 ** 31, 2 ** 53, 1e308, ""),
  fc.constantFrom("\0", "a\0b", "__proto__", "running", "\ud800", true),
  fc.anything({ maxDepth: 2, withNullPrototype: true }),
);

/** A record of JSON, one of whose parts is another value. */
function changed(value: unknown): fc.Arbitrary<unknown> {
  const paths = pathsOf(value);
  return fc.tuple(fc.constantFrom(...paths), HOSTILE).map(([path, hostile]) =>
    withChange(value, path, hostile)
  );
}

function pathsOf(value: unknown): string[][] {
  if (typeof value !== "object" || value === null) return [[]];
  return [
    [],
    ...Object.entries(value).flatMap(([name, part]) =>
      pathsOf(part).map((path) => [name, ...path])
    ),
  ];
}

function withChange(value: unknown, path: string[], hostile: unknown): unknown {
  const [name, ...rest] = path;
  if (name === undefined) return hostile;
  const copy = Array.isArray(value) ? [...value] : { ...value as object };
  const parts = copy as Record<string, unknown>;
  parts[name] = withChange(parts[name], rest, hostile);
  return copy;
}

/** As JSON has it; `undefined` for what it has not. */
function json(value: unknown): unknown {
  const text = JSON.stringify(
    value,
    (_, part) => typeof part === "bigint" ? `${part}` : part,
  );
  return text === undefined ? undefined : JSON.parse(text);
}

/** Decodes a stage that may be anything. */
function decodesOrThrows(text: string): void {
  let decoded: ReturnType<typeof decodeStage>;
  try {
    decoded = decodeStage(text);
  } catch (error) {
    assert(error instanceof Error, `${error}`);
    assert(error.message.startsWith("TEND_STAGE is not valid: "), `${error}`);
    return;
  }
  const { stage, from } = decoded;
  assertEquals(decodeStage(encodeStage(stage, from)), decoded);
}

/** Those of records. */
export function fuzzRecords(): Property[] {
  return [
    {
      what: "decodeMonitorState() is what encodeMonitorState() was given",
      property: fc.property(STATE, (state) => {
        const text = JSON.stringify(encodeMonitorState(state));
        assertEquals(decodeMonitorState(JSON.parse(text)), state);
      }),
    },
    {
      what: "decodeMonitorState() names the field that is wrong, or is a state",
      property: fc.property(
        STATE.map((state) => json(encodeMonitorState(state))).chain(changed),
        (value) => {
          let state: ReturnType<typeof decodeMonitorState>;
          try {
            state = decodeMonitorState(json(value));
          } catch (error) {
            assert(error instanceof InvalidField, `${error}`);
            return;
          }
          const again = json(encodeMonitorState(state));
          assertEquals(decodeMonitorState(again), state);
        },
      ),
    },
    {
      what: "decodeStage() is what encodeStage() was given",
      property: fc.property(STAGE, PID, (stage, from) => {
        assertEquals(decodeStage(encodeStage(stage, from)), { stage, from });
      }),
    },
    {
      what: "decodeStage() says what is wrong with a record, or is a stage",
      property: fc.property(
        fc.tuple(STAGE, PID).map(([stage, from]) =>
          JSON.parse(encodeStage(stage, from))
        ).chain(changed),
        (value) => decodesOrThrows(JSON.stringify(json(value)) ?? ""),
      ),
    },
    {
      what: "decodeStage() says what is wrong with any text",
      property: fc.property(
        fc.oneof(
          fc.string({ unit: "binary" }),
          fc.json(),
          fc.tuple(STAGE, PID, fc.nat(), fc.string({ unit: "binary" }))
            .map(([stage, from, place, piece]) => {
              const text = encodeStage(stage, from);
              const at = place % text.length;
              return text.slice(0, at) + piece + text.slice(at + piece.length);
            }),
        ),
        decodesOrThrows,
      ),
    },
  ];
}
