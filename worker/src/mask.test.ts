import { describe, expect, test } from 'vitest'
import { SecretSet } from './mask.js'
import { secretForms } from './secret-forms.js'

const secret = 'p@ss "q"/ü=\n2nd line'

function maskIn(pieces: readonly (string | Uint8Array)[], ...values: string[]): string {
  const secrets = new SecretSet()
  for (const value of values) secrets.add(value)
  const stream = secrets.openStream()
  const parts = pieces.map((piece) => stream.write(Buffer.from(piece as string)))
  return Buffer.concat([...parts, stream.end()]).toString('utf8')
}

const bytes = Buffer.from(secret, 'utf8')
const base64At = (offset: number, after: string) =>
  Buffer.concat([Buffer.from('ab'.slice(0, offset)), bytes, Buffer.from(after)]).toString('base64')
const urlSafe = (text: string) => text.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')

const spellings: [string, string][] = [
  ['as it is', secret],
  ['with Windows line ends', secret.replace('\n', '\r\n')],
  ['in JSON', JSON.stringify(secret)],
  ['in ASCII JSON', JSON.stringify(secret).replace('ü', '\\u00fc')],
  ['in JSON with escaped slashes', JSON.stringify(secret).replaceAll('/', '\\/')],
  ['in JSON in JSON', JSON.stringify(JSON.stringify(secret))],
  ['in a URL', encodeURIComponent(secret)],
  ['in a URL with small escapes', encodeURIComponent(secret).replace(/%../g, (escape) => escape.toLowerCase())],
  ['in a form', new URLSearchParams({ secret }).toString().slice('secret='.length)],
  ['in hexadecimal', bytes.toString('hex')],
  ['in capital hexadecimal', bytes.toString('hex').toUpperCase()],
]

describe.each(spellings)('a secret %s', (_, spelling) => {
  test('is masked in one piece', () => {
    expect(maskIn([`before ${spelling} after`], secret)).toMatch(/^before "?(\\")?\*\*\*(\\")?"? after$/)
  })

  test('is masked wherever a chunk ends inside it', () => {
    const whole = Buffer.from(`before ${spelling} after`)
    const expected = maskIn([whole], secret)
    for (let cut = 1; cut < whole.length; cut++) {
      expect(maskIn([whole.subarray(0, cut), whole.subarray(cut)], secret)).toBe(expected)
    }
  })

  test('is masked byte by byte', () => {
    const whole = Buffer.from(`x${spelling}y`)
    expect(
      maskIn(
        [...whole].map((byte) => Buffer.from([byte])),
        secret,
      ),
    ).toBe(maskIn([whole], secret))
  })
})

describe.each([0, 1, 2])('a secret in base64 behind %i other bytes', (offset) => {
  test.each([
    ['standard', (text: string) => text],
    ['url-safe', urlSafe],
  ])('is masked in the %s alphabet but for the characters it shares', (_, alphabet) => {
    const masked = maskIn([alphabet(base64At(offset, ' and more'))], secret)
    expect(masked).toContain('***')
    const readable = Buffer.from(masked.replace(/\*+/g, ''), 'base64').toString('latin1')
    expect(readable).not.toContain('p@ss')
    expect(masked.length).toBeLessThan(30)
  })
})

test.each([76, 64])('a long secret is masked in base64 wrapped at %i columns', (width) => {
  const long = Array.from({ length: 40 }, (_, n) => `part ${n} `).join('')
  const wrapped = Buffer.from(long)
    .toString('base64')
    .match(new RegExp(`.{1,${width}}`, 'g'))!
    .join('\n')
  expect(maskIn([wrapped], long).replaceAll(/[*\n]/g, '').length).toBeLessThan(8)
})

test('each line of a secret of several lines is masked alone', () => {
  const pem = '-----BEGIN KEY-----\nMIIBfirstlinefirst\nMIIBsecondlinesec\n-----END KEY-----'
  expect(maskIn(['> MIIBsecondlinesec <'], pem)).toBe('> *** <')
  expect(maskIn([Buffer.from('MIIBfirstlinefirst').toString('hex')], pem)).toBe('***')
})

test('the strings inside a JSON secret are masked alone', () => {
  const account = JSON.stringify({ type: 'x', private_key: 'MIIBfirst\nMIIBsecond', nested: [{ id: 'key-id-12345' }] })
  expect(maskIn(['id key-id-12345, line MIIBsecond'], account)).toBe('id ***, line ***')
})

test('secrets that overlap or touch become one marker', () => {
  expect(maskIn(['abcdefghij'], 'abcdef', 'efghij')).toBe('***')
  expect(maskIn(['abcdefghijkl'], 'abcdef', 'ghijkl')).toBe('***')
})

test('of two secrets with one beginning the longer is masked whole', () => {
  expect(maskIn(['token-12345 token-1'], 'token-1', 'token-12345')).toBe('*** ***')
})

test('text that only begins like a secret passes, and is not held back for long', () => {
  const secrets = new SecretSet()
  secrets.add('opensesame')
  const stream = secrets.openStream()
  expect(stream.write(Buffer.from('say open')).toString()).toBe('say ')
  expect(stream.write(Buffer.from('ly')).toString()).toBe('openly')
  expect(stream.end().toString()).toBe('')
})

test('bytes that are no text pass unchanged', () => {
  const noise = Buffer.from(Array.from({ length: 2_000 }, (_, n) => (n * 7919) % 256))
  const stream = new SecretSet().openStream()
  expect(Buffer.concat([stream.write(noise), stream.end()]).equals(noise)).toBe(true)
})

test('short and ordinary values are left alone', () => {
  for (const value of ['', 'true', '12345', 'production', 'Release']) expect(secretForms(value)).toEqual([])
  expect(maskIn(['building for production'], 'production')).toBe('building for production')
})

test('a large secret does not make masking slow', () => {
  const large = Array.from({ length: 800 }, (_, n) => `line ${n} of a large configuration file`).join('\n')
  const startedAt = Date.now()
  expect(maskIn([`x${large}y`], large)).toBe('x***y')
  expect(Date.now() - startedAt).toBeLessThan(60_000)
})
