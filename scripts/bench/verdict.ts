/** Whether a target is met; `undefined` where that could not be measured. */
export interface Verdict {
  readonly isMet: boolean | undefined;
  /** The figures, and what they may be. */
  readonly what: string;
}

/** No number at all is a target missed: comparing with NaN is false. */
export function verdict(isMet: boolean | undefined, what: string): Verdict {
  return { isMet, what };
}

/** Prints a line for each. */
export function printVerdicts(verdicts: readonly Verdict[]): void {
  console.log("\nTargets");
  for (const { isMet, what } of verdicts) {
    const word = isMet === undefined
      ? "not measured"
      : isMet
      ? "met"
      : "MISSED";
    console.log(`  ${word.padEnd(14)}${what}`);
  }
}
