import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { canonicalJson, canonicalText, type CanonicalValue } from './canonical-json.js'

test('sorts keys by UTF-16 code units and writes no white space', () => {
  expect(canonicalJson({ b: [1, true, null], a: 'x', '\u20ac': 1, '\r': 2, '1': 3 })).toBe(
    '{"\\r":2,"1":3,"a":"x","b":[1,true,null],"€":1}',
  )
})

test.each<[string, unknown]>([
  ['a fraction', 1.5],
  ['more than 2^53', 2 ** 53],
  ['negative zero', -0],
  ['NaN', Number.NaN],
  ['a lone surrogate', '\ud800'],
  ['text that is not NFC', 'e\u0301'],
  ['undefined', { a: undefined }],
  ['a Map', new Map()],
  ['a Date', new Date(0)],
  ['a sparse array', Object.assign([], { length: 2 })],
  ['a bigint', 1n],
])('refuses %s', (_name, value) => {
  expect(() => canonicalJson(value as CanonicalValue)).toThrow(TypeError)
})

test('refuses nesting that a verifier might not follow', () => {
  let nested: CanonicalValue = 1
  for (let depth = 0; depth < 100; depth += 1) nested = [nested]
  expect(() => canonicalJson(nested)).toThrow(/nested too deeply/)
})

test('canonicalText makes outside text acceptable', () => {
  expect(canonicalJson(canonicalText('e\u0301\ud800'))).toBe('"é\ufffd"')
})

test('encodes the events of the published vectors byte for byte', () => {
  const vectors = JSON.parse(readFileSync(new URL('../../test/vectors/audit-chain.json', import.meta.url), 'utf8'))
  for (const { json } of vectors.events) expect(canonicalJson(JSON.parse(json))).toBe(json)
})
