/**
 * Runs `work` while holding an exclusive lock on the file at `path`, which is
 * created when needed and stays. Whoever else wants the lock waits; a holder
 * that dies lets go of it.
 */
export async function withLock<T>(
  path: string,
  work: () => Promise<T>,
): Promise<T> {
  using file = await Deno.open(path, { create: true, write: true });
  await file.lock(true);
  return await work();
}
