const BURST = 1_000
const PER_SECOND = 10

type Budget = { left: number; at: number }
const budgets = new Map<string, Budget>()

/**
 * Whether one more unknown device of an app may be written down now. Nobody signs in as a device, so a stranger could
 * invent them without end; what is not admitted gets its update all the same, and is written down another time.
 */
export function admitNewDevice(appId: string, now: Date): boolean {
  const at = now.getTime()
  const known = budgets.get(appId) ?? { left: BURST, at }
  const gained = (Math.max(0, at - known.at) / 1000) * PER_SECOND
  const left = Math.min(BURST, known.left + gained)
  budgets.set(appId, { left: left >= 1 ? left - 1 : left, at: Math.max(at, known.at) })
  return left >= 1
}
