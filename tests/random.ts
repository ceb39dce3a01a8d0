/**
 * Properties, tried with much that is random.
 *
 * @module
 */

/** Random numbers that a seed brings back: mulberry32. */
export class Random {
  #state: number;

  constructor(readonly seed: number) {
    this.#state = seed;
  }

  /** From 0 on, below `end`. */
  below(end: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor(((t ^ (t >>> 14)) >>> 0) / 2 ** 32 * end);
  }

  /** The same values, in any order. */
  shuffled<T>(values: readonly T[]): T[] {
    return values.map((value) => ({ value, place: this.below(2 ** 32) }))
      .sort((a, b) => a.place - b.place).map(({ value }) => value);
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!;
  }
}

/** Tries a property with much that is random; a failure names the seed. */
export function forAny(property: (random: Random) => void): void {
  const first = Number(Deno.env.get("TEND_TEST_SEED") ?? Date.now() >>> 0);
  for (let i = 0; i < 2000; i++) {
    const seed = (first + i) >>> 0;
    try {
      property(new Random(seed));
    } catch (cause) {
      throw new Error(`with TEND_TEST_SEED=${seed}: ${cause}`, { cause });
    }
  }
}
