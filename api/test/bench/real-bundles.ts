import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { layOut } from '@capstan/sdk/delta'

const run = promisify(execFile)
const cache = fileURLToPath(new URL('../../../.capstan/cache/bundles', import.meta.url))

export type RealPair = {
  name: string
  versions: [string, string]
  /** The folder of the package that is the web build. */
  folder: string
  /** Whether file names change with their content. */
  hashedNames: boolean
  only?: RegExp
}

/** Consecutive releases of single-page apps that publish their web build to npm. */
export const realPairs: readonly RealPair[] = [
  { name: 'homebridge-config-ui-x', versions: ['5.9.0', '5.10.0'], folder: 'public', hashedNames: true },
  {
    name: 'swagger-ui-dist',
    versions: ['5.17.14', '5.18.2'],
    folder: '.',
    hashedNames: false,
    only: /^(favicon.*|index\.(css|html)|oauth2-redirect\.html|swagger-initializer\.js|swagger-ui-bundle\.js|swagger-ui-standalone-preset\.js|swagger-ui\.css)$/,
  },
  { name: '@verdaccio/ui-theme', versions: ['3.2.1', '3.4.1'], folder: 'static', hashedNames: true },
  { name: '@hot-updater/console', versions: ['0.35.11', '0.35.12'], folder: '.output/public', hashedNames: true },
  { name: '@bull-board/ui', versions: ['9.9.0', '9.10.0'], folder: 'dist', hashedNames: true },
  { name: 'zigbee2mqtt-frontend', versions: ['0.9.19', '0.9.21'], folder: 'dist', hashedNames: true },
  { name: 'flowise-ui', versions: ['3.1.2', '3.1.3'], folder: 'build', hashedNames: true },
  { name: '@directus/app', versions: ['17.0.0', '17.1.0'], folder: 'dist', hashedNames: true },
]

export type RealFile = { path: string; sha256: string; size: number; content: Buffer }

/** The files of one version, without source maps and packed twins; fetched with npm once. */
async function loadVersion(pair: RealPair, version: string): Promise<RealFile[]> {
  const target = join(cache, `${pair.name.replace('/', '-')}-${version}`)
  if (!existsSync(target)) {
    await mkdir(cache, { recursive: true })
    const folder = await mkdtemp(join(cache, 'fetch-'))
    try {
      const { stdout } = await run('npm', ['pack', '--silent', '--pack-destination', folder, `${pair.name}@${version}`])
      await run('tar', ['-xzf', join(folder, stdout.trim()), '-C', folder])
      await rename(join(folder, 'package'), target)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }
  const root = join(target, pair.folder)
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .filter((path) => !/\.(map|gz|br)$/.test(path) && (pair.only?.test(path) ?? true))
    .toSorted()
    .map((path) => {
      const content = readFileSync(join(root, path))
      return { path, content, size: content.length, sha256: createHash('sha256').update(content).digest('hex') }
    })
}

/** Both sides of a patch, and both whole bundles as one stretch of bytes each. */
export async function loadPair(pair: RealPair) {
  const [before, after] = [await loadVersion(pair, pair.versions[0]), await loadVersion(pair, pair.versions[1])]
  const contents = new Map([...before, ...after].map((file) => [file.sha256, file.content]))
  const join = (files: readonly { sha256: string }[]): Buffer =>
    Buffer.concat(files.map(({ sha256 }) => contents.get(sha256) ?? Buffer.alloc(0)))
  const layout = layOut(before, after)
  return {
    old: join(layout.old),
    fresh: join(layout.fresh),
    whole: join(after),
    after,
    changed: layout.fresh.map(({ sha256 }) => contents.get(sha256) ?? Buffer.alloc(0)),
  }
}
