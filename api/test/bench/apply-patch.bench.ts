import { statSync } from 'node:fs'
import { test } from 'vitest'
import { inChild, openScratch } from './patch-tools.js'
import { loadPair, realPairs } from './real-bundles.js'
import { median, report, rounded } from './report.js'

const ROUNDS = 5

/** Time and memory of applying a patch to a bundle of 20 MB, above those of a process that holds both sides anyway. */
test('apply a patch', { timeout: 600_000 }, async () => {
  const scratch = openScratch()
  const pair = realPairs.find(({ name }) => name === '@directus/app')
  if (!pair) throw new Error('there is no such pair')
  const { old, fresh } = await loadPair(pair)
  const files = [scratch('old', old), scratch('fresh', fresh), scratch('patch')] as const
  for (const effort of ['fast', 'best'] as const) {
    await inChild('make', ...files, effort)
    const [times, memory] = [[] as number[], [] as number[]]
    for (let round = 0; round < ROUNDS; round++) {
      const floor = await inChild('read', ...files)
      const applied = await inChild('apply', ...files)
      times.push(applied.milliseconds)
      memory.push(applied.peakRssBytes - floor.peakRssBytes)
    }
    report({
      name: 'apply-patch',
      effort,
      oldBytes: old.length,
      freshBytes: fresh.length,
      patchBytes: statSync(files[2]).size,
      coldMilliseconds: rounded(median(times)),
      peakRssAboveFloorMegabytes: rounded(median(memory) / 1e6),
    })
  }
})
