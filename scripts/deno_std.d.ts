/**
 * Types of the functions of `deno-std` that deno.json maps `@std/…` to.
 *
 * The npm republication of the Deno standard library ships JavaScript alone,
 * and without these every one of its functions would silently be `any`. The
 * declarations win over the package, as ambient modules do, because deno.json
 * names this file under `compilerOptions.types`. The signatures are those of
 * the JSR packages; `tests/scripts/deno_std_test.ts` compares the names.
 */

declare module "@std/assert/array-includes" {
  export function assertArrayIncludes<T>(
    actual: ArrayLike<T>,
    expected: ArrayLike<T>,
    msg?: string,
  ): void;
}

declare module "@std/assert/assert" {
  export function assert(expr: unknown, msg?: string): asserts expr;
}

declare module "@std/assert/equal" {
  export function equal(a: unknown, b: unknown): boolean;
}

declare module "@std/assert/equals" {
  export function assertEquals<T>(actual: T, expected: T, msg?: string): void;
}

declare module "@std/assert/exists" {
  export function assertExists<T>(
    actual: T,
    msg?: string,
  ): asserts actual is NonNullable<T>;
}

declare module "@std/assert/fail" {
  export function fail(msg?: string): never;
}

declare module "@std/assert/false" {
  export function assertFalse(
    expr: unknown,
    msg?: string,
  ): asserts expr is false;
}

declare module "@std/assert/greater" {
  export function assertGreater<T>(actual: T, expected: T, msg?: string): void;
}

declare module "@std/assert/greater-or-equal" {
  export function assertGreaterOrEqual<T>(
    actual: T,
    expected: T,
    msg?: string,
  ): void;
}

declare module "@std/assert/instance-of" {
  export function assertInstanceOf<
    T extends abstract new (...args: never[]) => unknown,
  >(
    actual: unknown,
    expectedType: T,
    msg?: string,
  ): asserts actual is InstanceType<T>;
}

declare module "@std/assert/less" {
  export function assertLess<T>(actual: T, expected: T, msg?: string): void;
}

declare module "@std/assert/less-or-equal" {
  export function assertLessOrEqual<T>(
    actual: T,
    expected: T,
    msg?: string,
  ): void;
}

declare module "@std/assert/match" {
  export function assertMatch(
    actual: string,
    expected: RegExp,
    msg?: string,
  ): void;
}

declare module "@std/assert/not-equals" {
  export function assertNotEquals<T>(
    actual: T,
    expected: T,
    msg?: string,
  ): void;
}

declare module "@std/assert/rejects" {
  export function assertRejects(
    fn: () => PromiseLike<unknown>,
    msg?: string,
  ): Promise<unknown>;
  export function assertRejects<E extends Error = Error>(
    fn: () => PromiseLike<unknown>,
    ErrorClass: abstract new (...args: never[]) => E,
    msgIncludes?: string,
    msg?: string,
  ): Promise<E>;
}

declare module "@std/assert/strict-equals" {
  export function assertStrictEquals<T>(
    actual: unknown,
    expected: T,
    msg?: string,
  ): asserts actual is T;
}

declare module "@std/assert/string-includes" {
  export function assertStringIncludes(
    actual: string,
    expected: string,
    msg?: string,
  ): void;
}

declare module "@std/assert/throws" {
  export function assertThrows(fn: () => unknown, msg?: string): unknown;
  export function assertThrows<E extends Error = Error>(
    fn: () => unknown,
    ErrorClass: abstract new (...args: never[]) => E,
    msgIncludes?: string,
    msg?: string,
  ): E;
}

declare module "@std/cli/parse-args" {
  /** Simpler than the original, which infers the result from the options. */
  export interface ParseOptions {
    "--"?: boolean;
    alias?: Record<string, string | readonly string[]>;
    boolean?: boolean | string | readonly string[];
    collect?: string | readonly string[];
    default?: Record<string, unknown>;
    negatable?: string | readonly string[];
    stopEarly?: boolean;
    string?: string | readonly string[];
    unknown?: (arg: string, key?: string, value?: unknown) => unknown;
  }
  export interface Args {
    _: (string | number)[];
    "--"?: string[];
    [name: string]: unknown;
  }
  export function parseArgs(
    args: readonly string[],
    options?: ParseOptions,
  ): Args;
}

declare module "@std/path/basename" {
  export function basename(path: string | URL, suffix?: string): string;
}

declare module "@std/path/dirname" {
  export function dirname(path: string | URL): string;
}

declare module "@std/path/is-absolute" {
  export function isAbsolute(path: string): boolean;
}

declare module "@std/path/join" {
  export function join(path: string | URL, ...paths: string[]): string;
}

declare module "@std/path/normalize" {
  export function normalize(path: string | URL): string;
}

declare module "@std/path/resolve" {
  /** Needs `--allow-read` where no path is absolute: it asks for the cwd. */
  export function resolve(...pathSegments: string[]): string;
}

declare module "@std/text/closest-string" {
  export function closestString(
    givenWord: string,
    possibleWords: ReadonlyArray<string>,
    options?: {
      caseSensitive?: boolean;
      compareFn?: (a: string, b: string) => number;
    },
  ): string;
}

declare module "@std/text/levenshtein-distance" {
  export function levenshteinDistance(str1: string, str2: string): number;
}
