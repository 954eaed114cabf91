import { randomBytes, randomInt } from 'node:crypto'
import { deviceCodes, newId, withLookup } from '@capstan/migrations'
import type { Deps } from '../context.js'
import { networkOf } from '../auth/client-address.js'
import { limitRate } from '../limit-rate.js'
import { Problem } from '../problems.js'
import { cutUserAgent } from '../sessions/open-session.js'
import { deviceHashOf, userCodeHashOf } from './device-code-hashes.js'

const LIFE_MS = 10 * 60_000
const DEVICE_CODE_BYTES = 32
/** No vowels, so that no words appear; no letters that look like digits. */
const ALPHABET = 'BCDFGHJKLMNPQRSTVWXZ'
const USER_CODE_CHARACTERS = 8

const admitAddress = limitRate({ burst: 20, perSecond: 0.2 })
const admitAll = limitRate({ burst: 300, perSecond: 10 })

/**
 * Begins a sign-in of the command line (RFC 8628 in the words of its contract): `id` is the secret that it asks with,
 * `code` what a person types into the page of this server.
 */
export async function createDeviceCode(
  deps: Deps,
  { address, userAgent }: { address: string | null; userAgent: string | undefined },
): Promise<{ id: string; code: string }> {
  if (!admitAddress(networkOf(address), deps.now()) || !admitAll('all', deps.now())) {
    throw new Problem(
      'too-many-requests',
      'Too many sign-ins begin at once. Try again in a moment, or use an API token.',
    )
  }
  const id = randomBytes(DEVICE_CODE_BYTES).toString('base64url')
  const letters = Array.from({ length: USER_CODE_CHARACTERS }, () => ALPHABET.charAt(randomInt(ALPHABET.length)))
  const code = letters.join('')
  const deviceHash = deviceHashOf(deps, id)
  await withLookup(deps.db, deviceHash, (tx) =>
    tx.insert(deviceCodes).values({
      id: newId(),
      deviceHash,
      userCodeHash: userCodeHashOf(deps, code),
      userAgent: cutUserAgent(userAgent),
      createdAt: deps.now(),
      expiresAt: new Date(deps.now().getTime() + LIFE_MS),
    }),
  )
  return { id, code }
}
