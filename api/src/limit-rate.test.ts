import { expect, test } from 'vitest'
import { limitRate } from './limit-rate.js'

const at = (seconds: number) => new Date(1_800_000_000_000 + seconds * 1000)

test('a key has its burst, then so much a second, and no other key pays for it', () => {
  const allow = limitRate({ burst: 3, perSecond: 0.5 })
  expect([0, 0, 0, 0].map((second) => allow('a', at(second)))).toEqual([true, true, true, false])
  expect(allow('b', at(0))).toBe(true)
  expect(allow('a', at(1))).toBe(false)
  expect(allow('a', at(2))).toBe(true)
  expect(allow('a', at(2))).toBe(false)
  expect([100, 100, 100, 100].map((second) => allow('a', at(second)))).toEqual([true, true, true, false])
})

test('a clock that goes back gives nothing away', () => {
  const allow = limitRate({ burst: 1, perSecond: 1 })
  expect(allow('a', at(10))).toBe(true)
  expect(allow('a', at(0))).toBe(false)
  expect(allow('a', at(10))).toBe(false)
  expect(allow('a', at(11))).toBe(true)
})

test('strangers who invent keys make the quietest one forgotten, and the memory stays bounded', () => {
  const allow = limitRate({ burst: 1, perSecond: 0 })
  expect(allow('quiet', at(0))).toBe(true)
  for (let index = 0; index < 10_000; index += 1) allow(`key-${index}`, at(0))
  expect(allow('key-9999', at(0))).toBe(false)
  expect(allow('quiet', at(0))).toBe(true)
})
