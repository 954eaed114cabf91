import { describe, expect, test } from 'vitest'
import { balanceOf, type CacheRun } from './judge-cache.js'

const hit = (restoreMs: number, installMs: number): CacheRun => ({ outcome: 'hit', restoreMs, installMs })
const miss = (installMs: number, saveMs = 0): CacheRun => ({ outcome: 'miss', installMs, ...(saveMs && { saveMs }) })
const times = (count: number, run: CacheRun) => Array.from({ length: count }, () => run)

describe('a cache', () => {
  test.each([
    ['saves time', [miss(30_000, 4_000), ...times(3, hit(2_000, 5_000))], 65_000, false],
    ['restores longer than it saves', [miss(10_000, 1_000), ...times(3, hit(8_000, 6_000))], -13_000, true],
    ['is saved again and again and never used', times(10, miss(10_000, 3_000)), -30_000, true],
    ['has been used too seldom to say', [miss(10_000, 1_000), ...times(2, hit(8_000, 6_000))], -9_000, false],
    ['has no build without it to compare with', times(5, hit(8_000, 6_000)), 0, false],
    ['was tampered with: that build installed without it', [{ ...hit(1, 9_000), outcome: 'refused' }], 0, false],
    ['was never asked for', [], 0, false],
  ] as const)('that %s', (_name, runs, savedMs, off) => {
    expect(balanceOf(runs as CacheRun[])).toMatchObject({ savedMs, costsMoreThanItSaves: off })
  })
})
