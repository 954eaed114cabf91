import { brotliCompressSync, constants } from 'node:zlib'
import { applyPatch } from '@capstan/sdk/delta'
import { makePatch } from '@capstan/sdk/delta/make'
import { beforeAll, expect, test } from 'vitest'
import { bsdiffPatch, geometricMean, openScratch, requireTools, zstdPatch } from './patch-tools.js'
import { loadPair, realPairs } from './real-bundles.js'
import { report, rounded } from './report.js'

beforeAll(requireTools)

/** What a device downloads, beside the smallest of two tools on the whole bundle, and beside each changed file with brotli. */
test('patch bytes', { timeout: 1_800_000 }, async () => {
  const scratch = openScratch()
  const ratios: { best: number; files: number; hashedNames: boolean }[] = []
  for (const pair of realPairs) {
    const { old, fresh, whole, changed } = await loadPair(pair)
    const patch = makePatch(old, fresh, { effort: 'best' })
    const fast = makePatch(old, fresh, { effort: 'fast' })
    if (!patch || !fast) throw new Error(`${pair.name} has no patch`)
    expect(fresh.equals(await applyPatch(patch, old, fresh.length))).toBe(true)
    const [oldFile, wholeFile] = [scratch('old', old), scratch('whole', whole)]
    const zstd = await zstdPatch(oldFile, wholeFile, scratch('zstd'))
    const bsdiff = await bsdiffPatch(oldFile, wholeFile, scratch('bsdiff'))
    const options = { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }
    const brotliBytes = changed.reduce((sum, content) => sum + brotliCompressSync(content, options).length, 0)
    const best = patch.length / Math.min(zstd.bytes, bsdiff.bytes)
    const files = patch.length / brotliBytes
    ratios.push({ best, files, hashedNames: pair.hashedNames })
    report({
      name: 'patch-bytes',
      pair: `${pair.name} ${pair.versions.join(' → ')}`,
      bundleBytes: whole.length,
      patchBytes: patch.length,
      fastPatchBytes: fast.length,
      zstdBytes: zstd.bytes,
      bsdiffBytes: bsdiff.bytes,
      changedFilesBrotliBytes: brotliBytes,
      ratioToSmallerTool: rounded(best, 3),
      ratioToChangedFiles: rounded(files, 4),
    })
  }
  const hashed = ratios.filter((ratio) => ratio.hashedNames)
  report({
    name: 'patch-bytes-mean',
    pairs: ratios.length,
    ratioToSmallerTool: rounded(geometricMean(ratios.map((ratio) => ratio.best)), 3),
    ratioToChangedFiles: rounded(geometricMean(ratios.map((ratio) => ratio.files)), 4),
    pairsWithHashedNames: hashed.length,
    ratioToChangedFilesWithHashedNames: rounded(geometricMean(hashed.map((ratio) => ratio.files)), 4),
  })
})
