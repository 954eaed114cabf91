import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto'

import { z } from 'zod'

import { MAX_KEY_BYTES, type SignedGetOptions, type SignedPutOptions } from './object-store.js'

const Expiry = z.number().int().positive()
const Key = z.string().max(MAX_KEY_BYTES)
const Claims = z.discriminatedUnion('m', [
  z.strictObject({ m: z.literal('GET'), k: Key, e: Expiry, f: z.string().optional() }),
  z.strictObject({
    m: z.literal('PUT'),
    k: Key,
    e: Expiry,
    t: z.string(),
    n: z.number().int().positive(),
    s: z.string().optional(),
  }),
])
type ObjectUrlClaims = z.infer<typeof Claims>

/** Signed URLs of the API's own `/v1/objects/<token>`; FORMAT.md has the token. */
export type UrlSigner = {
  signGet(key: string, options: SignedGetOptions): string
  signPut(key: string, options: SignedPutOptions): string
  /** The claims of a token that this key signed and that has not expired; otherwise null, whatever was wrong. */
  verify(token: string): ObjectUrlClaims | null
}

export type UrlSignerOptions = { publicUrl: string; key: Uint8Array; now?: () => number }

const MAX_TOKEN_LENGTH = 4096

export function createUrlSigner({ publicUrl, key, now = Date.now }: UrlSignerOptions): UrlSigner {
  const macKey = Buffer.from(hkdfSync('sha512', key, Buffer.alloc(0), 'cso1:urls', 32))
  const macOf = (claims: string) =>
    createHmac('sha256', macKey).update('capstan object url 1\0').update(claims).digest('base64url')
  const seconds = () => Math.floor(now() / 1000)
  const urlOf = (claims: ObjectUrlClaims) => {
    const encoded = Buffer.from(JSON.stringify(claims), 'utf8').toString('base64url')
    return `${publicUrl.replace(/\/$/, '')}/v1/objects/${encoded}.${macOf(encoded)}`
  }
  return {
    signGet: (k, { expiresInSeconds, fileName }) =>
      urlOf({ m: 'GET', k, e: seconds() + expiresInSeconds, ...(fileName !== undefined && { f: fileName }) }),
    signPut: (k, { expiresInSeconds, contentType, maxBytes, sha256 }) =>
      urlOf({
        m: 'PUT',
        k,
        e: seconds() + expiresInSeconds,
        t: contentType,
        n: maxBytes,
        ...(sha256 !== undefined && { s: sha256 }),
      }),
    verify(token) {
      const [claims, mac, ...rest] = token.split('.')
      if (token.length > MAX_TOKEN_LENGTH || claims === undefined || mac === undefined || rest.length > 0) return null
      if (!sameText(mac, macOf(claims))) return null
      const parsed = Claims.safeParse(JSON.parse(Buffer.from(claims, 'base64url').toString('utf8')))
      return parsed.success && parsed.data.e > seconds() ? parsed.data : null
    },
  }
}

/** Compares the encoded text, so that no second spelling of the same MAC is accepted. */
function sameText(given: string, expected: string): boolean {
  const a = Buffer.from(given, 'utf8')
  const b = Buffer.from(expected, 'utf8')
  return a.length === b.length && timingSafeEqual(a, b)
}
