// Bounded parallel work over a list: `width` lanes take items in order. The first error stops the
// taking; it is thrown only after every lane has ended, so nothing still runs when the caller cleans up.

/** @throws the first error, or the signal's reason */
export async function runLanes<T>(
  width: number,
  items: readonly T[],
  work: (item: T, index: number) => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  let next = 0;
  let failed: { reason: unknown } | undefined;
  const lane = async () => {
    while (next < items.length && !failed) {
      const index = next++;
      try {
        signal?.throwIfAborted();
        await work(items[index] as T, index);
      } catch (reason) {
        failed ??= { reason };
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, lane));
  if (failed) throw failed.reason;
}
