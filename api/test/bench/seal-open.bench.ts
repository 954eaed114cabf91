import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { expect, test } from 'vitest'

import { median, report, rounded } from './report.js'

const CHILD = fileURLToPath(new URL('seal-open-child.mjs', import.meta.url))
const ROUNDS = 15
const PER_ROUND = 2000

test('seal and open 4 KB, against raw AES-256-GCM with HKDF', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'capstan-seal-'))
  const args = [CHILD, join(folder, 'keys'), String(ROUNDS), String(PER_ROUND)]
  const { stdout } = await promisify(execFile)(process.execPath, args)
  await rm(folder, { recursive: true })
  const { rounds, firstSealMs } = JSON.parse(stdout) as {
    rounds: { own: number; raw: number }[]
    firstSealMs: number[]
  }
  report({
    name: 'seal-open-4k',
    perSecond: rounded(median(rounds.map((round) => round.own))),
    rawPerSecond: rounded(median(rounds.map((round) => round.raw))),
    ratio: rounded(median(rounds.map((round) => round.own / round.raw)), 3),
    goal: 0.5,
    // The first seal of a version also writes its entry to the key store, synced.
    firstSealMs: rounded(median(firstSealMs), 2),
  })
  expect(rounds).toHaveLength(ROUNDS)
})
