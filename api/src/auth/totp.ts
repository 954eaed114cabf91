import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

/** Time-based one-time passwords: RFC 6238 with SHA-1, six digits and steps of 30 s, which every authenticator app knows. */
const STEP_SECONDS = 30
const DIGITS = 6
const SECRET_BYTES = 20
/** One step to either side, for clocks that differ. */
const WINDOW = 1
const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

export function createTotpSecret(): Buffer {
  return randomBytes(SECRET_BYTES)
}

/** The password of one time step (RFC 4226 section 5.3). */
export function totpAt(secret: Uint8Array, step: number): string {
  const counter = Buffer.alloc(8)
  counter.writeBigUInt64BE(BigInt(step))
  const mac = createHmac('sha1', secret).update(counter).digest()
  const offset = (mac.at(-1) ?? 0) & 0x0f
  return String((mac.readUInt32BE(offset) & 0x7fffffff) % 10 ** DIGITS).padStart(DIGITS, '0')
}

export const stepOf = (now: Date): number => Math.floor(now.getTime() / 1000 / STEP_SECONDS)

/** The time step that a password belongs to, newer than `lastStep`; null when it is wrong, too old or used. */
export function matchTotp(secret: Uint8Array, password: string, now: Date, lastStep: number): number | null {
  const given = Buffer.from(password.replaceAll(/\s/g, ''))
  if (given.length !== DIGITS) return null
  let found: number | null = null
  for (let step = stepOf(now) - WINDOW; step <= stepOf(now) + WINDOW; step += 1) {
    if (timingSafeEqual(given, Buffer.from(totpAt(secret, step))) && step > lastStep) found = step
  }
  return found
}

/** RFC 4648 base32 without padding. */
export function base32(bytes: Uint8Array): string {
  let [text, bits, value] = ['', 0, 0]
  for (const byte of bytes) {
    value = (value << 8) | byte
    bits += 8
    while (bits >= 5) {
      bits -= 5
      text += BASE32.charAt((value >> bits) & 31)
      value &= (1 << bits) - 1
    }
  }
  return bits > 0 ? text + BASE32.charAt((value << (5 - bits)) & 31) : text
}

/** What authenticator apps read from a QR code. */
export function totpUri(secret: Uint8Array, account: string): string {
  const label = encodeURIComponent(`Capstan:${account}`)
  return `otpauth://totp/${label}?secret=${base32(secret)}&issuer=Capstan&algorithm=SHA1&digits=${DIGITS}&period=${STEP_SECONDS}`
}
