import { expect, test } from 'vitest'

import { judgeLaunches } from '../../src/rollouts/judge-launches.js'
import { median, report, rounded } from './report.js'

const LADDERS = 2_000
const LAUNCHES = 20_000
const LOOK_EVERY = 20
const rule = { falseAlarms: 0.01, tolerance: 0.005, ceiling: 0.2, minimumLaunches: 0 }

/** Mulberry32: small, fast, and the same everywhere for one seed. */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

type World = { control: number; candidate: number; history: number; launches?: number; tolerance?: number }

/** One ladder: the launch at which it is halted, or null when it never is. Every 20 launches somebody looks. */
function climb(world: World, random: () => number): number | null {
  const failures = (launches: number, rate: number) => {
    let failed = 0
    for (let launch = 0; launch < launches; launch += 1) if (random() < rate) failed += 1
    return failed
  }
  const lost = failures(world.history, world.control)
  const control = { confirmed: world.history - lost, failed: lost }
  const candidate = { confirmed: 0, failed: 0 }
  const halting = { ...rule, tolerance: world.tolerance ?? rule.tolerance }
  for (let seen = LOOK_EVERY; seen <= (world.launches ?? LAUNCHES); seen += LOOK_EVERY) {
    const failed = failures(LOOK_EVERY, world.candidate)
    candidate.failed += failed
    candidate.confirmed += LOOK_EVERY - failed
    if (judgeLaunches({ candidate, control }, halting).halt) return seen
  }
  return null
}

function run(name: string, world: World, ladders = LADDERS): (number | null)[] {
  const random = randomFrom(20_260_101)
  const halts = Array.from({ length: ladders }, () => climb(world, random))
  const delays = halts.flatMap((at) => (at === null ? [] : [at])).toSorted((one, other) => one - other)
  report({
    name: `ladder-${name}`,
    controlRate: world.control,
    candidateRate: world.candidate,
    controlLaunches: world.history,
    tolerance: world.tolerance ?? rule.tolerance,
    ladders,
    haltedShare: rounded(delays.length / ladders, 5),
    ...(delays.length > 0
      ? { medianLaunches: median(delays), p95Launches: delays[Math.floor(delays.length * 0.95)] ?? Number.NaN }
      : {}),
  })
  return halts
}

const share = (halts: readonly (number | null)[]) => halts.filter((at) => at !== null).length / halts.length

test('ladders that are no worse are halted no more often than the rule says', () => {
  // No tolerance and the same rate, then exactly at the tolerance: the hardest cases that must not be halted.
  for (const [name, world] of Object.entries({
    'no-worse': { control: 0.01, candidate: 0.01, history: 20_000 },
    'same-rate-no-tolerance': { control: 0.01, candidate: 0.01, history: 20_000, tolerance: 0 },
    'same-rate-few-controls': { control: 0.05, candidate: 0.05, history: 200, tolerance: 0 },
    'at-the-tolerance': { control: 0.01, candidate: 0.015, history: 100_000 },
    'at-the-ceiling-no-control': { control: 0, candidate: 0.2, history: 0 },
  } satisfies Record<string, World>)) {
    expect(share(run(`false-alarms-${name}`, world))).toBeLessThanOrEqual(rule.falseAlarms)
  }
})

test('ladders that are worse are halted', () => {
  for (const candidate of [0.02, 0.03, 0.05, 0.1, 0.5]) {
    const halts = run(`detection-${candidate * 100}-percent`, { control: 0.01, candidate, history: 20_000 }, 500)
    if (candidate >= 0.03) expect(share(halts)).toBe(1)
  }
  run('detection-50-percent-no-control', { control: 0, candidate: 0.5, history: 0 }, 500)
})
