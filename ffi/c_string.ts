/**
 * Strings as C has them.
 *
 * @module
 */

/** Text, or raw bytes for what need not be valid UTF-8, as paths and arguments. */
export type CString = string | Uint8Array;

const encoder = new TextEncoder();
// A name may begin with a byte order mark: without it it is another's.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const strictDecoder = new TextDecoder("utf-8", {
  fatal: true,
  ignoreBOM: true,
});

/**
 * Makes a C string.
 *
 * @param text Text or bytes, without the NUL at the end.
 * @returns The bytes with a NUL behind them.
 * @throws {TypeError} When `text` holds a NUL: libc would take what is before
 * it for the whole, and rename or remove another file.
 */
export function cString(text: CString): Uint8Array<ArrayBuffer> {
  const bytes = toBytes(text);
  if (bytes.includes(0)) {
    throw new TypeError(`NUL byte in ${JSON.stringify(fromBytes(bytes))}`);
  }
  const terminated = new Uint8Array(bytes.length + 1);
  terminated.set(bytes);
  return terminated;
}

/**
 * Bytes of text.
 *
 * @param text Text, or the bytes themselves.
 * @returns The bytes.
 */
export function toBytes(text: CString): Uint8Array<ArrayBuffer> {
  return new Uint8Array(
    typeof text === "string" ? encoder.encode(text) : text,
  );
}

/**
 * Text of bytes that may not be UTF-8, for messages.
 *
 * @param bytes Any bytes.
 * @returns The text; what is not UTF-8 becomes U+FFFD.
 */
export function fromBytes(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/**
 * Text of bytes that have to be UTF-8: changed in decoding, a name would be that
 * of another file.
 *
 * @param bytes Any bytes.
 * @param what What they are, for the error.
 * @returns The text.
 * @throws {TypeError} When they are not UTF-8.
 */
export function fromUtf8(bytes: Uint8Array, what: string): string {
  try {
    return strictDecoder.decode(bytes);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new TypeError(`${what} is not valid UTF-8: ${fromBytes(bytes)}`);
  }
}

/**
 * Strings that stand one behind the other, as `/proc` has them.
 *
 * @param bytes The strings, each with its NUL.
 * @returns The strings without it.
 */
export function splitStrings(
  bytes: Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer>[] {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let start = 0;
  for (;;) {
    const next = bytes.indexOf(0, start);
    if (next === -1) return parts;
    parts.push(bytes.slice(start, next));
    start = next + 1;
  }
}

/** An array of C strings that ends in NULL, as `argv`. */
export class CStringArray {
  /** The pointers. They are good for as long as this object is. */
  readonly pointers: BigUint64Array<ArrayBuffer>;
  readonly #strings: Uint8Array<ArrayBuffer>[];

  /**
   * @param strings The strings, without NULs.
   * @throws {TypeError} When one holds a NUL.
   */
  constructor(strings: readonly CString[]) {
    this.#strings = strings.map(cString);
    this.pointers = new BigUint64Array(strings.length + 1);
    this.#strings.forEach((string, i) => {
      this.pointers[i] = Deno.UnsafePointer.value(
        Deno.UnsafePointer.of(string),
      );
    });
  }
}
