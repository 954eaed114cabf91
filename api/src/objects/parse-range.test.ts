import { expect, test } from 'vitest'

import { parseRange } from './parse-range.js'

test.each([
  ['bytes=0-0', { start: 0, end: 0 }],
  ['bytes=5-', { start: 5 }],
  ['bytes=5-9999', { start: 5, end: 9999 }],
  ['bytes=-3', { start: 97 }],
  ['bytes=-1000', { start: 0 }],
])('%s is a range', (header, range) => expect(parseRange(header, 100)).toEqual(range))

test.each(['bytes=0-1,5-6', 'items=0-1', 'bytes=', 'bytes=-', 'bytes=9-5', 'bytes=a-b', 'bytes=0x1-5'])(
  '%s is ignored: the whole object is sent',
  (header) => expect(parseRange(header, 100)).toBeUndefined(),
)

test.each(['bytes=100-', 'bytes=100-200', 'bytes=-0'])('%s asks for what is not there', (header) => {
  expect(() => parseRange(header, 100)).toThrow(/has 100 bytes/)
})

test('an empty object has no ranges', () => {
  expect(() => parseRange('bytes=0-', 0)).toThrow(/has 0 bytes/)
  expect(() => parseRange('bytes=-1', 0)).toThrow(/has 0 bytes/)
})
