const dotted = /^\d{1,15}(?:\.\d{1,15})*$/

/**
 * Compares dotted numbers segment by segment, missing segments being 0.
 *
 * @returns negative, 0 or positive; `null` when one of them is not dotted numbers
 */
export function compareVersions(left: string, right: string): number | null {
  if (!dotted.test(left) || !dotted.test(right)) return null
  const [a, b] = [left.split('.').map(Number), right.split('.').map(Number)]
  for (let index = 0; index < Math.max(a.length, b.length); index++) {
    const difference = (a[index] ?? 0) - (b[index] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}
