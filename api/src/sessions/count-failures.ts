import { createHash } from 'node:crypto'
import { Problem } from '../problems.js'

const ALLOWED = 10
const WINDOW_MS = 15 * 60_000
const MAX_ADDRESSES = 10_000

export type FailureCounter = {
  /** Refuses an address at which too many sign-ins have failed lately, before any work is done for it. */
  admit(address: string, now: Date): void
  failed(address: string, now: Date): void
  succeeded(address: string): void
}

/** Failed sign-ins by address, kept in memory as hashes; the oldest address is forgotten when there are too many. */
export function createFailureCounter(): FailureCounter {
  const failures = new Map<string, { count: number; until: number }>()
  const keyOf = (address: string) => createHash('sha256').update(address).digest('base64url')
  return {
    admit(address, now) {
      const known = failures.get(keyOf(address))
      if (!known || known.until <= now.getTime() || known.count < ALLOWED) return
      const minutes = Math.ceil((known.until - now.getTime()) / 60_000)
      const sentence = `Too many sign-ins failed for this address. Try again in ${minutes} minutes, or use an API token.`
      throw new Problem('too-many-requests', sentence)
    },
    failed(address, now) {
      const key = keyOf(address)
      const known = failures.get(key)
      const current = known && known.until > now.getTime() ? known : { count: 0, until: now.getTime() + WINDOW_MS }
      failures.delete(key)
      failures.set(key, { ...current, count: current.count + 1 })
      const [oldest] = failures.keys()
      if (failures.size > MAX_ADDRESSES && oldest !== undefined) failures.delete(oldest)
    },
    succeeded: (address) => void failures.delete(keyOf(address)),
  }
}
