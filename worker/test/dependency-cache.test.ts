import { createHash } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { pack } from 'tar-stream'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { androidProject } from './android-project.js'
import type { Bench } from './build-bench.js'
import { openBench } from './build-bench.js'
import { openRegistry, tarballPath, type PackageRegistry } from './package-registry.js'

let registry: PackageRegistry
let benches: Bench[] = []

beforeAll(async () => {
  registry = await openRegistry()
})
afterAll(() => registry[Symbol.dispose]())
afterEach(async () => {
  for (const bench of benches) {
    expect(bench.api.violations).toEqual([])
    await bench[Symbol.asyncDispose]()
  }
  benches = []
  registry.served.length = 0
})

const web = 'test -f node_modules/buoy/ballast.bin && mkdir -p dist && cp src/index.html dist/'

/** A project with one dependency, which only the test's own registry has. */
function project(build = web, extra: Record<string, string> = {}): Buffer {
  const { integrity } = registry
  const resolved = `${registry.url}${tarballPath}`
  const dependencies = { buoy: '1.0.0' }
  const root = { name: 'pier', version: '1.0.0', dependencies }
  const packages = { '': root, 'node_modules/buoy': { version: '1.0.0', resolved, integrity } }
  const files = {
    'package.json': JSON.stringify({ ...root, scripts: { build, ...extra } }),
    'package-lock.json': JSON.stringify({ name: 'pier', version: '1.0.0', lockfileVersion: 3, packages }),
  }
  return androidProject({
    without: Object.keys(files),
    files: Object.entries(files).map(([name, content]) => ({ name, content })),
  })
}

type Api = Bench['api']

async function run(source: Buffer, prepare: (api: Api) => void = () => undefined): Promise<Api> {
  const bench = await openBench(registry.world)
  benches.push(bench)
  bench.api.spec = { platform: 'web', type: null, cache: 'read-write' }
  bench.api.source = source
  prepare(bench.api)
  await bench.run()
  return bench.api
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

const phasesOf = (api: Api) =>
  api.phaseStates().filter((state) => /^(restore-cache|install|save-cache) (?!started)/.test(state))

test('what one build downloaded, the next with the same lockfile does not download again', async () => {
  const first = await run(project())
  expect(first.finishes, first.log).toEqual([{ status: 'succeeded', retryable: false }])
  expect(phasesOf(first)).toEqual(['restore-cache succeeded', 'install succeeded', 'save-cache succeeded'])
  expect(registry.served).toEqual([tarballPath])
  const [saved] = first.caches
  expect(saved).toMatchObject({ final: true, declaration: { packageManager: 'npm', sha256: sha256(saved!.bytes!) } })
  expect(first.cacheReports).toEqual([
    { refused: false, sizeBytes: saved!.bytes!.length, installMs: expect.any(Number), saveMs: expect.any(Number) },
  ])

  const second = await run(project(), (api) => api.offerCache(saved!.bytes!))
  expect(second.finishes, second.log).toEqual([{ status: 'succeeded', retryable: false }])
  expect(registry.served).toHaveLength(1)
  expect(phasesOf(second)).toEqual(['restore-cache succeeded', 'install succeeded', 'save-cache skipped'])
  expect(second.cacheQuestions).toEqual(first.cacheQuestions)
  expect(second.log).toContain(`Restored ${saved!.bytes!.length} bytes, SHA-256 ${saved!.declaration.sha256}`)
  expect(second.caches.filter(({ id }) => id !== 'stored')).toEqual([])
  // The output is the same with and without the cache.
  expect(second.artifacts[0]?.declaration.sha256).toBe(first.artifacts[0]?.declaration.sha256)
})

test('the cache is packed before a script of the build runs, so none of them can leave something in it', async () => {
  const poison = 'find / -name _cacache -type d 2>/dev/null | while read f; do echo poison > $f/content-v2/poison; done'
  const api = await run(project(`${poison}; ${web}`))
  expect(api.finishes).toMatchObject([{ status: 'succeeded' }])
  expect(api.caches[0]?.bytes?.includes('poison')).toBe(false)
  expect(api.caches[0]?.bytes?.includes('content-v2')).toBe(true)
})

test('a build that may only read leaves nothing', async () => {
  const api = await run(project(), (given) => (given.cacheAnswer = { state: 'miss', maxBytes: null }))
  expect(api.finishes).toMatchObject([{ status: 'succeeded' }])
  expect(phasesOf(api)).toEqual(['restore-cache succeeded', 'install succeeded', 'save-cache skipped'])
  expect(api.caches).toEqual([])
})

test('downloads beyond the size of a cache are not kept, and the build succeeds', async () => {
  const api = await run(project(), (given) => (given.cacheAnswer = { state: 'miss', maxBytes: 100_000 }))
  expect(api.finishes).toMatchObject([{ status: 'succeeded' }])
  expect(api.log).toContain('No cache is left: the downloads are larger than a cache may be.')
  expect(api.caches).toEqual([])
})

test('a failed install leaves nothing', async () => {
  const api = await run(project(web, { postinstall: 'exit 7' }))
  expect(api.finishes).toMatchObject([{ status: 'failed', code: 'install-failed' }])
  expect(api.caches).toEqual([])
})

async function tarOf(name: string): Promise<Buffer> {
  const archive = pack()
  archive.entry({ name }, 'planted')
  archive.finalize()
  return buffer(archive)
}

test.each([
  ['is not what was recorded', () => tarOf('content-v2/x'), 'f'.repeat(64), 'it is not what was stored'],
  ['leads out of its folder', () => tarOf('../../source/planted'), undefined, 'leaves the folder'],
])('a cache that %s is refused, and the build goes on without it', async (_name, make, recorded, sentence) => {
  const bytes = await make()
  const api = await run(project(`test ! -e planted && ${web}`), (given) => given.offerCache(bytes, recorded))
  expect(api.finishes, api.log).toEqual([{ status: 'succeeded', retryable: false }])
  expect(api.log).toContain(sentence)
  expect(api.cacheReports).toMatchObject([{ refused: true }])
  expect(registry.served).toEqual([tarballPath])
})

test('a cache that is small and would fill the disk of the build is not unpacked, and the build goes on', async () => {
  const archive = pack()
  for (let n = 0; n < 16_000; n += 1) archive.entry({ name: `content-v2/${n}` }, 'x')
  archive.finalize()
  const bytes = await buffer(archive)
  const api = await run(project(), (given) => {
    given.offerCache(bytes)
    given.spec.limits = { ...given.buildSpec('').limits, diskBytes: 64 << 20 }
  })
  expect(api.finishes, api.log).toEqual([{ status: 'succeeded', retryable: false }])
  expect(api.log).toMatch(/The cache is not used: it needs \d+ bytes and the disk has \d+ left/)
  expect(api.cacheReports).toMatchObject([{ refused: false }])
  expect(registry.served).toEqual([tarballPath])
})

test('a cache that the platform cannot give costs the build nothing but time', async () => {
  const api = await run(project(), (given) => {
    given.cacheAnswer = { state: 'hit', url: `${given.url}/store/nothing`, sha256: 'a'.repeat(64), sizeBytes: 10 }
  })
  expect(api.finishes).toMatchObject([{ status: 'succeeded' }])
  expect(api.log).toContain('The cache is not used: it could not be fetched.')
  expect(api.cacheReports).toMatchObject([{ refused: false }])
})

const plain = 'mkdir -p dist && cp src/index.html dist/'

test('a project without a lockfile has no cache', async () => {
  const api = await run(androidProject({ scripts: { build: plain }, without: ['package-lock.json'] }))
  expect(api.cacheQuestions).toEqual([])
  expect(phasesOf(api)).toEqual(['restore-cache skipped', 'install succeeded'])
})
