import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { measureSizes } from '../bench/measure-size.mjs'

const packageDirectory = fileURLToPath(new URL('..', import.meta.url))
/** Gzipped bytes: what is loaded at start, and all of it. */
const budgets: Record<string, [core: number, total: number]> = {
  './live-update': [12_000, 29_500],
  './live-update/node': [13_750, 31_500],
  './live-update/capacitor': [14_000, 32_000],
  './live-update/web': [14_000, 32_000],
  './live-update/web-worker': [4_000, 4_000],
  './release': [7_000, 9_000],
  './archive': [6_500, 6_500],
  './audit': [4_000, 4_000],
  './network': [1_000, 1_000],
  './delta': [4_000, 4_000],
  './delta/make': [4_500, 4_500],
}

test('every entry point keeps its size budget', async () => {
  const sizes = await measureSizes()
  expect(sizes.map((size) => size.entry).toSorted()).toEqual(Object.keys(budgets).toSorted())
  for (const { entry, coreGzipBytes, totalGzipBytes } of sizes) {
    const [core, total] = budgets[entry]!
    expect(coreGzipBytes, `${entry}, at start`).toBeLessThanOrEqual(core)
    expect(totalGzipBytes, `${entry}, in all`).toBeLessThanOrEqual(total)
    // A budget far above what is used would let anything through.
    expect(totalGzipBytes, `${entry}, in all`).toBeGreaterThan(total * 0.7)
  }
})

describe('the packed package', () => {
  let folder: string
  let tarball: Uint8Array
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'capstan-pack-'))
    const args = ['pack', '--silent', '--ignore-scripts', '--offline', '--pack-destination', folder]
    await promisify(execFile)('npm', args, { cwd: packageDirectory, env: { ...process.env, npm_config_cache: folder } })
    const name = (await readdir(folder)).find((file) => file.endsWith('.tgz'))
    tarball = await readFile(join(folder, name!))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  test('publint has nothing to say, in strict mode', async () => {
    const archive = Uint8Array.from(tarball).buffer
    const { messages, pkg } = await publint({ strict: true, pack: { tarball: archive } })
    expect(messages.map((message) => formatMessage(message, pkg))).toEqual([])
  })

  test('every entry point has types that match it, for bundlers and for Node', async () => {
    const result = await checkPackage(createPackageFromTarballData(tarball))
    if (!result.types) throw new Error('the package has no types')
    expect(Object.keys(result.entrypoints).toSorted()).toEqual(Object.keys(budgets).toSorted())
    // The package is ESM only, by intent: nothing is promised to `require` without its flag, nor to resolution before exports.
    const meant = (problem: { kind: string; resolutionKind?: string }): boolean =>
      problem.resolutionKind === 'node10' ||
      (problem.kind === 'CJSResolvesToESM' && problem.resolutionKind === 'node16-cjs')
    expect(result.problems.filter((problem) => !meant(problem as never))).toEqual([])
  })

  test('it has no dependencies and no sources of others in it', async () => {
    const manifest = JSON.parse(await readFile(join(packageDirectory, 'package.json'), 'utf8')) as object
    expect(Object.keys(manifest)).not.toContain('dependencies')
    expect(Object.keys(manifest)).not.toContain('peerDependencies')
    expect(Object.keys(manifest)).not.toContain('optionalDependencies')
  })
})
