import { createHmac, randomInt } from 'node:crypto'
import { crc32 } from 'node:zlib'

/** `ca_` API token, `cs_` session, `cw_` worker, `cl_` lease of one build attempt, `cd_` device, `cj_` joins an organization, `co_` operator, `cr_` sets a new password, `ce_` takes a new address. */
export type TokenKind = 'ca' | 'cs' | 'cw' | 'cl' | 'cd' | 'cj' | 'co' | 'cr' | 'ce'

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const RANDOM_CHARACTERS = 30
const CHECK_CHARACTERS = 6
const SHAPE = /^(ca|cs|cw|cl|cd|cj|co|cr|ce)_[0-9A-Za-z]{36}$/

/** A new token: 30 random base62 characters (178 bits) and a CRC32 that lets scanners and the API spot a typo. */
export function createToken(kind: TokenKind): string {
  const random = Array.from({ length: RANDOM_CHARACTERS }, () => ALPHABET.charAt(randomInt(ALPHABET.length))).join('')
  const body = `${kind}_${random}`
  return body + checkOf(body)
}

/** The kind of a well-formed token, else null. Says nothing about whether it is known. */
export function kindOf(token: string): TokenKind | null {
  if (!SHAPE.test(token)) return null
  const body = token.slice(0, -CHECK_CHARACTERS)
  return token.endsWith(checkOf(body)) ? (token.slice(0, 2) as TokenKind) : null
}

/** What is stored of a token: HMAC-SHA-256 under the pepper, hex. */
export function hashToken(pepper: Uint8Array, token: string): string {
  return createHmac('sha256', pepper).update(token).digest('hex')
}

function checkOf(body: string): string {
  let rest = crc32(body)
  let text = ''
  for (let index = 0; index < CHECK_CHARACTERS; index += 1) {
    text = ALPHABET.charAt(rest % ALPHABET.length) + text
    rest = Math.floor(rest / ALPHABET.length)
  }
  return text
}
