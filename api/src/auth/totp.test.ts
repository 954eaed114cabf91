import { expect, test } from 'vitest'
import { base32, matchTotp, stepOf, totpAt, totpUri } from './totp.js'

const secret = Buffer.from('12345678901234567890')

// RFC 6238 appendix B (the last six of the eight digits).
test.each([
  [59, '287082'],
  [1111111109, '081804'],
  [1111111111, '050471'],
  [1234567890, '005924'],
  [2000000000, '279037'],
  [20000000000, '353130'],
])('at %i s the password is %s', (seconds, password) => {
  expect(totpAt(secret, Math.floor(seconds / 30))).toBe(password)
})

// RFC 4226 appendix D.
test('the first ten counters give the published values', () => {
  expect(Array.from({ length: 10 }, (_, counter) => totpAt(secret, counter))).toEqual(
    '755224 287082 359152 969429 338314 254676 287922 162583 399871 520489'.split(' '),
  )
})

test('a password counts one step early or late, not two, and never again', () => {
  const now = new Date(1_700_000_000_000)
  const step = stepOf(now)
  for (const offset of [-1, 0, 1]) expect(matchTotp(secret, totpAt(secret, step + offset), now, 0)).toBe(step + offset)
  for (const offset of [-2, 2]) expect(matchTotp(secret, totpAt(secret, step + offset), now, 0)).toBeNull()
  expect(matchTotp(secret, totpAt(secret, step), now, step)).toBeNull()
  expect(matchTotp(secret, totpAt(secret, step - 1), now, step)).toBeNull()
  expect(matchTotp(secret, `${totpAt(secret, step)}0`, now, 0)).toBeNull()
})

// RFC 4648 section 10.
test.each([
  ['', ''],
  ['f', 'MY'],
  ['fo', 'MZXQ'],
  ['foo', 'MZXW6'],
  ['foob', 'MZXW6YQ'],
  ['fooba', 'MZXW6YTB'],
  ['foobar', 'MZXW6YTBOI'],
])('base32 of %j is %j', (text, expected) => {
  expect(base32(Buffer.from(text))).toBe(expected)
})

test('the address for authenticator apps names the account and the secret', () => {
  const uri = new URL(totpUri(secret, 'ada+x@example.test'))
  expect(uri.searchParams.get('secret')).toBe('GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ')
  expect(decodeURIComponent(uri.pathname)).toContain('Capstan:ada+x@example.test')
})
