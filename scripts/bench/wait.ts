/** Waits so many milliseconds. */
export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * Waits for a condition.
 *
 * @param question Says whether it holds; asked every so many milliseconds.
 * @returns Whether it came to hold within the time.
 */
export async function until(
  question: () => boolean,
  patienceMs: number,
  everyMs: number,
): Promise<boolean> {
  const deadline = performance.now() + patienceMs;
  while (!question()) {
    if (performance.now() > deadline) return false;
    await sleep(everyMs);
  }
  return true;
}
