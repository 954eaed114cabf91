import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { androidProject } from './android-project.js'
import { openBench } from './build-bench.js'
import { openRegistry, tarballPath, type PackageRegistry } from './package-registry.js'

let registry: PackageRegistry

beforeAll(async () => {
  registry = await openRegistry()
})
afterAll(() => registry[Symbol.dispose]())

type Files = Record<string, string>

const manifest = {
  name: 'pier',
  version: '1.0.0',
  dependencies: { buoy: '1.0.0' },
  scripts: { build: 'test -s node_modules/buoy/ballast.bin && mkdir -p dist && cp src/index.html dist/' },
}
const npmrc = () => ({ '.npmrc': `registry=${registry.url}/\n` })

const pnpm = (): Files => ({
  ...npmrc(),
  'pnpm-lock.yaml': `lockfileVersion: '9.0'

settings:
  autoInstallPeers: true
  excludeLinksFromLockfile: false

importers:

  .:
    dependencies:
      buoy:
        specifier: 1.0.0
        version: 1.0.0

packages:

  buoy@1.0.0:
    resolution: {integrity: ${registry.integrity}}

snapshots:

  buoy@1.0.0: {}
`,
})

const yarn = (): Files => ({
  'yarn.lock': `# yarn lockfile v1


buoy@1.0.0:
  version "1.0.0"
  resolved "${registry.url}${tarballPath}"
  integrity ${registry.integrity}
`,
})

const bun = (): Files => ({
  ...npmrc(),
  'bun.lock': JSON.stringify({
    lockfileVersion: 1,
    workspaces: { '': { name: 'pier', dependencies: { buoy: '1.0.0' } } },
    packages: { buoy: ['buoy@1.0.0', `${registry.url}${tarballPath}`, {}, registry.integrity] },
  }),
})

/** Yarn's later versions come with the project. What they check is the archive that they make of a package: they write the lockfile. */
async function yarnBerry(): Promise<Files> {
  const program = createRequire(import.meta.url).resolve('@yarnpkg/cli-dist/bin/yarn.js')
  const settings = (server: string) => `yarnPath: ./yarn.cjs
npmRegistryServer: "${server}"
npmMinimalAgeGate: 0
unsafeHttpWhitelist: ["127.0.0.1", "registry.test"]
nodeLinker: node-modules
enableTelemetry: false
`
  const folder = mkdtempSync(join(tmpdir(), 'capstan-yarn-'))
  try {
    writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest))
    writeFileSync(join(folder, 'yarn.lock'), '')
    writeFileSync(join(folder, '.yarnrc.yml'), settings(`http://127.0.0.1:${registry.port}`))
    const env = {
      PATH: process.env['PATH'],
      HOME: folder,
      YARN_GLOBAL_FOLDER: join(folder, 'yarn'),
      YARN_IGNORE_PATH: '1',
    }
    await promisify(execFile)(process.execPath, [program, 'install', '--no-immutable'], { cwd: folder, env })
    return {
      '.yarnrc.yml': settings(registry.url),
      'yarn.cjs': readFileSync(program, 'utf8'),
      'yarn.lock': readFileSync(join(folder, 'yarn.lock'), 'utf8'),
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function build(source: Buffer, stored?: Buffer) {
  await using bench = await openBench(registry.world)
  const { api } = bench
  api.spec = { platform: 'web', type: null, cache: 'read-write' }
  api.source = source
  if (stored !== undefined) api.offerCache(stored)
  registry.served.length = 0
  await bench.run()
  expect(api.violations).toEqual([])
  expect(api.finishes, api.log).toEqual([{ status: 'succeeded', retryable: false }])
  return { api, downloads: registry.served.filter((path) => path === tarballPath) }
}

test.each([
  ['pnpm', pnpm],
  ['yarn', yarn],
  ['yarn-berry', yarnBerry],
  ['bun', bun],
] as const)('what a build with %s downloaded, the next one does not download again', async (manager, lockfile) => {
  const files = { 'package.json': JSON.stringify(manifest), ...(await lockfile()) }
  const source = androidProject({
    without: ['package.json', 'package-lock.json'],
    files: Object.entries(files).map(([name, content]) => ({ name, content })),
  })
  const cold = await build(source)
  expect(cold.downloads, cold.api.log).toEqual([tarballPath])
  const [saved] = cold.api.caches
  expect(saved, cold.api.log).toMatchObject({ final: true, declaration: { packageManager: manager } })

  const warm = await build(source, saved?.bytes)
  expect(warm.downloads, warm.api.log).toEqual([])
  expect(warm.api.log).toContain(`Restored ${saved?.bytes?.length} bytes`)
  expect(warm.api.cacheQuestions).toEqual(cold.api.cacheQuestions)
  expect(warm.api.artifacts[0]?.declaration.sha256).toBe(cold.api.artifacts[0]?.declaration.sha256)
})
