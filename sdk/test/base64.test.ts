import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { decodeBase64, encodeBase64 } from '../src/release/index.js'

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

describe('base64', () => {
  test('is that of RFC 4648 for bytes of every length, and leads back to them', () => {
    for (let length = 0; length <= 100; length++) {
      const bytes = Uint8Array.from(randomBytes(length))
      const text = encodeBase64(bytes)
      expect(text).toBe(Buffer.from(bytes).toString('base64'))
      expect(decodeBase64(text)).toEqual(bytes)
    }
    const all = Uint8Array.from({ length: 65_536 }, (_, index) => (index % 2 === 0 ? index >> 8 : index & 255))
    expect(decodeBase64(encodeBase64(all))).toEqual(all)
  })

  test('encodes what a view shows and not what lies beside it', () => {
    const bytes = Uint8Array.from([1, 2, 3, 4, 5, 6, 7])
    expect(encodeBase64(bytes.subarray(1, 5))).toBe('AgMEBQ==')
  })

  test('has one text for the same bytes: unused bits are zero', () => {
    for (const [padding, unused] of [
      ['=', 4],
      ['==', 16],
    ] as const) {
      for (const [value, char] of alphabet.split('').entries()) {
        const text = `${padding === '=' ? 'QU' : 'Q'}${char}${padding}`
        expect(decodeBase64(text) === null, text).toBe(value % unused !== 0)
      }
    }
  })

  test('takes no character that is not its own, at no place', () => {
    const others = Array.from({ length: 0x180 }, (_, code) => String.fromCharCode(code))
    for (const char of [...others, '\u0141', '\ud83d', '\uffff']) {
      for (let at = 0; at < 4; at++) {
        const text = `QUFB${'QUFB'.slice(0, at)}${char}${'QUFB'.slice(at + 1)}QUFB`
        expect(decodeBase64(text) === null, `${char.charCodeAt(0)} at ${at}`).toBe(!alphabet.includes(char))
      }
    }
  })

  test.each([
    'Q',
    'QU',
    'QUF',
    'QQ=',
    'Q===',
    '====',
    '=',
    '==',
    'QQ==QQ==',
    'QQ==\n',
    ' QUFB',
    'QU=B',
    'Q=Q=',
    'QUFB=',
  ])('refuses %j', (text) => {
    expect(decodeBase64(text)).toBeNull()
  })
})
