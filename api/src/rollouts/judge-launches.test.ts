import { describe, expect, test } from 'vitest'
import { judgeLaunches } from './judge-launches.js'

const rule = { falseAlarms: 0.01, tolerance: 0.005, ceiling: 0.2, minimumLaunches: 0 }
const tally = (launches: number, failed: number) => ({ confirmed: launches - failed, failed })
const judge = (candidate: [number, number], control: [number, number], changes: Partial<typeof rule> = {}) =>
  judgeLaunches({ candidate: tally(...candidate), control: tally(...control) }, { ...rule, ...changes })

describe('the judgement', () => {
  test.each<[string, [number, number], [number, number], boolean]>([
    ['nothing was reported', [0, 0], [0, 0], false],
    ['one launch failed', [1, 1], [0, 0], false],
    ['every launch is fine', [100_000, 0], [100_000, 0], false],
    ['both fail alike', [10_000, 100], [50_000, 500], false],
    ['the candidate is better', [10_000, 0], [50_000, 5_000], false],
    ['the difference is within the tolerance', [100_000, 1_400], [100_000, 1_000], false],
    ['the candidate fails five times as often', [1_000, 50], [20_000, 200], true],
    ['the difference is small and certain', [100_000, 2_500], [100_000, 1_000], true],
    ['the same share of few launches', [20, 1], [20_000, 200], false],
    ['everything fails and there is no control', [20, 20], [0, 0], true],
    ['half fails and there is no control', [100, 50], [0, 0], true],
    ['a tenth fails and there is no control', [10_000, 1_000], [0, 0], false],
    ['both fail beyond the ceiling', [1_000, 500], [1_000, 500], true],
  ])('when %s', (_when, candidate, control, halt) => {
    expect(judge(candidate, control).halt).toBe(halt)
  })

  test('is stricter the fewer false alarms are allowed', () => {
    const of = (falseAlarms: number) => judge([300, 20], [10_000, 100], { falseAlarms })
    expect(of(0.2).halt).toBe(true)
    expect(of(1e-6).halt).toBe(false)
    expect(of(0.2).statistic).toBe(of(1e-6).statistic)
  })

  test('is the exact ratio where it can be worked out by hand', () => {
    // One failed launch, no control: B(3/2, 1/2) / B(1/2, 1/2) = 1/2 over a likelihood of at most the ceiling.
    expect(judge([1, 1], [0, 0]).againstCeiling).toBeCloseTo(Math.log(0.5 / 0.2), 10)
    // Two confirmed: B(1/2, 5/2) / B(1/2, 1/2) = 3/8 over 1.
    expect(judge([2, 0], [0, 0]).againstCeiling).toBeCloseTo(Math.log(3 / 8), 10)
    // One failed, one confirmed by the control, no tolerance: (1/2)(1/2) over r(1-r) at r = 1/2.
    expect(judge([1, 1], [1, 0], { tolerance: 0 }).againstControl).toBeCloseTo(0, 10)
  })

  test('is a supermartingale: over every sequence of launches at one rate its mean is at most 1', () => {
    for (const rate of [0.01, 0.1, 0.2]) {
      for (const launches of [1, 2, 5, 9]) {
        let mean = 0
        for (let ours = 0; ours <= launches; ours += 1) {
          for (let theirs = 0; theirs <= launches; theirs += 1) {
            const chance = binomial(launches, ours, rate) * binomial(launches, theirs, rate)
            mean += chance * Math.exp(judge([launches, ours], [launches, theirs], { tolerance: 0 }).againstControl)
          }
        }
        expect(mean).toBeLessThanOrEqual(1 + 1e-9)
      }
    }
  })

  test('stays a number for a billion launches and for rates at the edge', () => {
    for (const pair of [judge([1e9, 1e6], [1e9, 1e6]), judge([1e6, 1e6], [1e6, 0]), judge([1, 0], [1e6, 1e6])]) {
      for (const value of [pair.statistic, pair.againstControl, pair.againstCeiling]) expect(value).not.toBeNaN()
    }
    expect(judge([50, 50], [50, 50], { tolerance: 1, ceiling: 1 }).halt).toBe(false)
  })
})

function binomial(trials: number, hits: number, rate: number): number {
  let ways = 1
  for (let index = 0; index < hits; index += 1) ways = (ways * (trials - index)) / (index + 1)
  return ways * rate ** hits * (1 - rate) ** (trials - hits)
}
