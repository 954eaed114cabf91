const sideBySide = 6

/**
 * Works on items side by side and stops at the first failure. Of several failures that of the earliest item is thrown,
 * so that the outcome does not depend on timing. Nothing is left in flight when this ends.
 */
export async function inOrder<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const failures: { index: number; error: unknown }[] = []
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < items.length && failures.length === 0) {
      const index = next++
      await work(items[index] as T).catch((error: unknown) => failures.push({ index, error }))
    }
  }
  await Promise.all(Array.from({ length: sideBySide }, worker))
  const [first] = failures.toSorted((a, b) => a.index - b.index)
  if (first) throw first.error
}
