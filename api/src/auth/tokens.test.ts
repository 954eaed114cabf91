import { expect, test } from 'vitest'
import { createToken, hashToken, kindOf } from './tokens.js'

test('a token has its kind, 30 random and 6 check characters', () => {
  const tokens = new Set(Array.from({ length: 500 }, () => createToken('ca')))
  expect(tokens.size).toBe(500)
  for (const token of tokens) {
    expect(token).toMatch(/^ca_[0-9A-Za-z]{36}$/)
    expect(kindOf(token)).toBe('ca')
  }
})

test('any changed character is noticed without asking the database', () => {
  const token = createToken('cl')
  for (let index = 3; index < token.length; index += 1) {
    const other = token[index] === 'A' ? 'B' : 'A'
    expect(kindOf(token.slice(0, index) + other + token.slice(index + 1))).toBeNull()
  }
  expect(kindOf(token.replace('cl_', 'ca_'))).toBeNull()
})

test('the stored hash depends on the pepper', () => {
  const token = createToken('ca')
  expect(hashToken(new Uint8Array(32), token)).not.toBe(hashToken(new Uint8Array(32).fill(1), token))
  expect(hashToken(new Uint8Array(32), token)).toMatch(/^[0-9a-f]{64}$/)
})
