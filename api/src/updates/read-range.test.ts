import { expect, test } from 'vitest'
import { readRange } from './read-range.js'

test.each([
  ['bytes=0-0', { start: 0, end: 0 }],
  ['bytes=5-', { start: 5 }],
  ['bytes=-3', { start: 7 }],
  ['bytes=-30', { start: 0 }],
  ['bytes=-0', { start: 10 }],
  ['bytes=8-99', { start: 8, end: 99 }],
])('%s of ten bytes', (header, range) => {
  expect(readRange(header, 10)).toEqual(range)
})

test.each([undefined, '', 'bytes=', 'bytes=-', 'bytes=3-1', 'bytes=0-1,3-4', 'items=0-1', 'bytes=a-b', 'bytes=1e3-'])(
  '%j counts as not asked for',
  (header) => {
    expect(readRange(header, 10)).toBeNull()
  },
)
