import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { identityKey } from '../auth/identity-keys.js'
import { spendOnce } from '../auth/spend-once.js'
import type { Deps } from '../context.js'
import { Problem } from '../problems.js'

const LIFE_MS = 5 * 60_000
const RANDOM_BYTES = 16
const EXPIRY_BYTES = 6
const MAC_BYTES = 32

/**
 * A challenge is `expiry ‖ random ‖ HMAC(purpose ‖ subject ‖ expiry ‖ random)`: strangers may ask for any number without
 * one being kept. Only a challenge that was answered rightly is remembered, until it expires.
 */
export function createChallenge(deps: Deps, purpose: string): Uint8Array<ArrayBuffer> {
  const head = Buffer.alloc(EXPIRY_BYTES + RANDOM_BYTES)
  head.writeUIntBE(deps.now().getTime() + LIFE_MS, 0, EXPIRY_BYTES)
  randomBytes(RANDOM_BYTES).copy(head, EXPIRY_BYTES)
  return new Uint8Array([...head, ...macOf(deps, purpose, head)])
}

/** Whether it is a challenge of ours for this purpose, and young enough. */
export function isChallenge(deps: Deps, purpose: string, challenge: string): boolean {
  const bytes = Buffer.from(challenge, 'base64url')
  if (bytes.length !== EXPIRY_BYTES + RANDOM_BYTES + MAC_BYTES) return false
  const head = bytes.subarray(0, -MAC_BYTES)
  if (!timingSafeEqual(bytes.subarray(-MAC_BYTES), macOf(deps, purpose, head))) return false
  return head.readUIntBE(0, EXPIRY_BYTES) > deps.now().getTime()
}

/** After the answer was verified: a challenge is answered once. */
export async function spendChallenge(deps: Deps, clientDataJson: string): Promise<void> {
  const { challenge } = JSON.parse(Buffer.from(clientDataJson, 'base64url').toString('utf8')) as { challenge: string }
  const expiresAt = new Date(deps.now().getTime() + LIFE_MS)
  if (!(await spendOnce(deps, 'passkey', challenge, expiresAt))) throw passkeyRefused()
}

export const passkeyRefused = () =>
  new Problem('passkey-refused', 'The passkey was not accepted. Start again with a new challenge.')

function macOf(deps: Deps, purpose: string, head: Uint8Array): Buffer {
  return createHmac('sha256', identityKey(deps.pepper, 'passkey-challenge'))
    .update(`${purpose}\0`)
    .update(head)
    .digest()
}
