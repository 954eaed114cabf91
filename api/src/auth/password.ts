import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'

const COST = { N: 2 ** 17, r: 8, p: 1 } as const
const MAX_MEMORY = 256 * 1024 * 1024
const FORMAT = /^scrypt\$17\$8\$1\$([\w-]{22})\$([\w-]{43})$/

/** `scrypt$17$8$1$<salt>$<hash>`, base64url (OWASP ASVS 5.0 appendix C). */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16)
  return `scrypt$17$8$1$${salt.toString('base64url')}$${(await derive(password, salt)).toString('base64url')}`
}

/** Takes as long for an unknown user (`stored` null) as for a wrong password. */
export async function passwordMatches(password: string, stored: string | null): Promise<boolean> {
  const parts = FORMAT.exec(stored ?? '')
  const salt = Buffer.from(parts?.[1] ?? 'AAAAAAAAAAAAAAAAAAAAAA', 'base64url')
  const expected = Buffer.from(parts?.[2] ?? 'A'.repeat(43), 'base64url')
  return timingSafeEqual(await derive(password, salt), expected) && parts !== null
}

function derive(password: string, salt: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password.normalize('NFKC'), salt, 32, { ...COST, maxmem: MAX_MEMORY }, (error, key) =>
      error ? reject(error) : resolve(key),
    )
  })
}
