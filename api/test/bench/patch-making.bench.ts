import { statSync } from 'node:fs'
import { beforeAll, test } from 'vitest'
import { inChild, openScratch, requireTools, zstdPatch } from './patch-tools.js'
import { loadPair, realPairs } from './real-bundles.js'
import { report, rounded } from './report.js'

beforeAll(requireTools)

/** Time and memory of making a patch, beside what zstd takes for its best in the same run. */
test.each([
  ['20 MB', ['@directus/app']],
  ['35 MB', ['@directus/app', 'homebridge-config-ui-x', 'swagger-ui-dist']],
] as const)('patch making, a bundle of %s', { timeout: 1_800_000 }, async (size, names) => {
  const scratch = openScratch()
  const pairs = await Promise.all(
    realPairs.filter(({ name }) => (names as readonly string[]).includes(name)).map(loadPair),
  )
  const [old, fresh] = [Buffer.concat(pairs.map((pair) => pair.old)), Buffer.concat(pairs.map((pair) => pair.fresh))]
  const whole = scratch('whole', Buffer.concat(pairs.map((pair) => pair.whole)))
  const [oldFile, freshFile] = [scratch('old', old), scratch('fresh', fresh)]
  const zstd = await zstdPatch(oldFile, whole, scratch('zstd'))
  for (const effort of ['fast', 'best'] as const) {
    const patch = scratch(`patch-${effort}`)
    const { milliseconds, peakRssBytes } = await inChild('make', oldFile, freshFile, patch, effort)
    report({
      name: 'patch-making',
      bundle: size,
      effort,
      oldBytes: old.length,
      freshBytes: fresh.length,
      patchBytes: statSync(patch).size,
      seconds: rounded(milliseconds / 1000, 1),
      zstdSeconds: rounded(zstd.milliseconds / 1000, 1),
      ratio: rounded(milliseconds / zstd.milliseconds, 2),
      peakRssMegabytes: rounded(peakRssBytes / 1e6),
    })
  }
})
