/**
 * Reading records that may come from anybody: each field is checked, and a value
 * that is none of its field's is refused by name.
 *
 * @module
 */

/** Says whether a value of JSON is what a field has, and makes it that. */
export type Decoder<T> = (value: unknown) => T;

/** A value that is not what its field has. */
export class InvalidField extends Error {}

/**
 * A record.
 *
 * @param decoders What each of its fields holds; others are left out.
 * @returns Its decoder.
 */
export function fields<T extends object>(
  decoders: { readonly [K in keyof T]: Decoder<T[K]> },
): Decoder<T> {
  return (value) => {
    if (typeof value !== "object" || value === null) {
      throw new InvalidField("no record");
    }
    const record: Partial<T> = {};
    // A loop: whoever shows a hundred daemons reads as many records.
    for (const name in decoders) {
      const part = Object.hasOwn(value, name)
        ? (value as Record<string, unknown>)[name]
        : undefined;
      try {
        record[name] = decoders[name](part);
      } catch (error) {
        if (!(error instanceof InvalidField)) throw error;
        throw new InvalidField(`${name} is ${error.message}`);
      }
    }
    return record as T;
  };
}

/**
 * A field that may be missing.
 *
 * @param decode What it holds if it is there.
 * @returns Its decoder.
 */
export function optional<T>(decode: Decoder<T>): Decoder<T | undefined> {
  return (value) => value === undefined ? undefined : decode(value);
}

/**
 * A field that a record of an older tend lacks.
 *
 * @param missing What it holds then.
 * @param decode What it holds if it is there.
 * @returns Its decoder.
 */
export function orElse<T>(missing: T, decode: Decoder<T>): Decoder<T> {
  return (value) => value === undefined ? missing : decode(value);
}

/**
 * A list.
 *
 * @param decode What each of its parts is.
 * @returns Its decoder.
 */
export function listOf<T>(decode: Decoder<T>): Decoder<T[]> {
  return (value) => {
    if (!Array.isArray(value)) throw new InvalidField("no list");
    return value.map(decode);
  };
}

/**
 * One of some words.
 *
 * @param words The words.
 * @returns Its decoder.
 */
export function oneOf<const T extends string>(words: readonly T[]): Decoder<T> {
  return (value) => {
    const word = words.find((word) => word === value);
    if (word === undefined) throw new InvalidField(`none of ${words}`);
    return word;
  };
}

/**
 * A whole number.
 *
 * @param least The least that is valid.
 * @param most The largest.
 * @returns Its decoder.
 */
export function integer(least: number, most = 0x7fff_ffff): Decoder<number> {
  return (value) => {
    const isOne = Number.isInteger(value) && (value as number) >= least &&
      (value as number) <= most;
    if (!isOne) throw new InvalidField(`no whole number from ${least} on`);
    return value as number;
  };
}

/**
 * A whole number of 64 bits without a sign, of a string of digits: JSON has none
 * so large.
 *
 * @param value The value, from anywhere.
 * @returns It.
 */
export function unsigned64(value: unknown): bigint {
  if (typeof value === "string" && /^\d{1,20}$/.test(value)) {
    const number = BigInt(value);
    if (number < 2n ** 64n) return number;
  }
  throw new InvalidField("no number of 64 bits");
}

/**
 * Milliseconds, with fractions.
 *
 * @param value The value, from anywhere.
 * @returns It.
 */
export function time(value: unknown): number {
  if (typeof value === "number" && value >= 0 && value < 2 ** 53) return value;
  throw new InvalidField("no time");
}

/**
 * Yes or no.
 *
 * @param value The value, from anywhere.
 * @returns It.
 */
export function boolean(value: unknown): boolean {
  if (typeof value === "boolean") return value;
  throw new InvalidField("no boolean");
}

/**
 * Names and messages: a NUL in one could not be handed to libc.
 *
 * @param value The value, from anywhere.
 * @returns It.
 */
export function text(value: unknown): string {
  if (typeof value === "string" && !value.includes("\0")) return value;
  throw new InvalidField("no text");
}

/**
 * Bytes, of a string of as many characters: JSON has none.
 *
 * @param value The value, from anywhere.
 * @returns The bytes.
 */
export function bytes(value: unknown): Uint8Array {
  if (typeof value !== "string") throw new InvalidField("no bytes");
  const codes = Array.from(value, (character) => character.charCodeAt(0));
  if (codes.some((code) => code < 1 || code > 0xff)) {
    throw new InvalidField("no bytes");
  }
  return Uint8Array.from(codes);
}
