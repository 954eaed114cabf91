type Budget = { burst: number; perSecond: number }

const OF_APP: Budget = { burst: 1_000, perSecond: 10 }
/** Wide enough for a fleet behind one address, or for a proxy that hides the addresses of all. */
const OF_ADDRESS: Budget = { burst: 2_000, perSecond: 50 }
const MAX_REMEMBERED = 100_000

const apps = new Map<string, { left: number; at: number }>()
const addresses = new Map<string, { left: number; at: number }>()

/**
 * Whether one more unknown device may be written down. Nobody signs in as a device, so a stranger could invent them
 * without end; what is not admitted gets its update all the same, and is written down another time.
 */
export function admitNewDevice(device: { appId: string; address: string; lastSeenAt: number }): boolean {
  const at = device.lastSeenAt
  const ofApp = replenish(apps, device.appId, OF_APP, at)
  const ofAddress = replenish(addresses, device.address, OF_ADDRESS, at)
  if (ofApp.left < 1 || ofAddress.left < 1) return false
  ofApp.left -= 1
  ofAddress.left -= 1
  return true
}

function replenish(known: typeof apps, key: string, { burst, perSecond }: Budget, at: number) {
  const before = known.get(key) ?? { left: burst, at }
  const gained = (Math.max(0, at - before.at) / 1000) * perSecond
  const budget = { left: Math.min(burst, before.left + gained), at: Math.max(at, before.at) }
  const [oldest] = known.keys()
  if (known.size >= MAX_REMEMBERED && oldest !== undefined) known.delete(oldest)
  known.set(key, budget)
  return budget
}
