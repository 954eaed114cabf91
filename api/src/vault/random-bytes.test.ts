import { expect, test } from 'vitest'

import { takeRandomBytes } from './random-bytes.js'

test('every piece has its length, none comes twice, none is zero', () => {
  const pieces = Array.from({ length: 3000 }, (_, index) => takeRandomBytes(12 + (index % 30)))
  expect(pieces.map((piece) => piece.length)).toEqual(pieces.map((_, index) => 12 + (index % 30)))
  expect(new Set(pieces.map((piece) => piece.subarray(0, 12).toString('hex'))).size).toBe(pieces.length)
  const zeros = pieces.filter((piece) => piece.subarray(0, 8).every((byte) => byte === 0))
  expect(zeros).toEqual([])
})

test('what was handed out is not changed by what comes later', () => {
  const first = takeRandomBytes(32)
  const copy = Buffer.from(first)
  for (let count = 0; count < 500; count += 1) takeRandomBytes(32).fill(1)
  expect(first).toEqual(copy)
  expect(takeRandomBytes(5000)).toHaveLength(5000)
})
