export type RateLimit = { burst: number; perSecond: number }

const MAX_REMEMBERED = 10_000

/**
 * Allows each key so many calls at once and so many a second from then on. Kept by each process; of more keys than it
 * remembers, the one that was quiet the longest starts anew.
 */
export function limitRate({ burst, perSecond }: RateLimit): (key: string, now: Date) => boolean {
  const budgets = new Map<string, { left: number; at: number }>()
  return (key, now) => {
    const at = now.getTime()
    const known = budgets.get(key) ?? { left: burst, at }
    const left = Math.min(burst, known.left + (Math.max(0, at - known.at) / 1000) * perSecond)
    budgets.delete(key)
    budgets.set(key, { left: left >= 1 ? left - 1 : left, at: Math.max(at, known.at) })
    const [oldest] = budgets.keys()
    if (budgets.size > MAX_REMEMBERED && oldest !== undefined) budgets.delete(oldest)
    return left >= 1
  }
}
