import { createHmac, randomBytes } from 'node:crypto'
import { Problem } from '../problems.js'

const PREFIX = 'whsec_'
const OWN_BYTES = 32
const [FEWEST_BYTES, MOST_BYTES] = [24, 64]

export const createSigningSecret = (): string => PREFIX + randomBytes(OWN_BYTES).toString('base64')

/** Standard Webhooks: `whsec_` and 24 to 64 bytes in base64, so that its libraries can verify what we send. */
export function acceptSigningSecret(secret: string): string {
  const key = keyOf(secret)
  if (key && key.length >= FEWEST_BYTES && key.length <= MOST_BYTES) return secret
  const form = `"${PREFIX}" followed by ${FEWEST_BYTES} to ${MOST_BYTES} bytes in base64`
  throw new Problem('signing-secret-invalid', `A signing secret is ${form}. Leave it out to be given one.`)
}

function keyOf(secret: string): Buffer | null {
  if (!secret.startsWith(PREFIX)) return null
  const text = secret.slice(PREFIX.length)
  const key = Buffer.from(text, 'base64')
  return key.toString('base64') === text ? key : null
}

type Signed = { id: string; timestamp: number; body: string }

/** The headers of Standard Webhooks 1.0: one signature for each secret that counts at the time. */
export function signatureHeaders(secrets: readonly string[], { id, timestamp, body }: Signed): Record<string, string> {
  const signatures = secrets.map((secret) => {
    const key = keyOf(secret)
    if (key === null) throw new Error('A stored signing secret is not readable.')
    return `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')}`
  })
  return { 'webhook-id': id, 'webhook-timestamp': String(timestamp), 'webhook-signature': signatures.join(' ') }
}
