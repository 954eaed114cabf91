import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runTool } from './run-tool.mjs'
import { MissingComponent, SetupFailure } from './setup-failure.mjs'

function pnpmVersion(root) {
  const { packageManager = '' } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const version = /^pnpm@(\d+\.\d+\.\d+)/.exec(packageManager)?.[1]
  if (!version) throw new SetupFailure('package.json names no pnpm version in "packageManager".')
  return version
}

/** Every tool's cache, state and log goes into the checkout, so the home folder stays as it was. */
function confined(root) {
  const cache = join(root, '.capstan', 'cache')
  return {
    ...process.env,
    XDG_CACHE_HOME: join(cache, 'xdg'),
    XDG_DATA_HOME: join(cache, 'xdg'),
    XDG_STATE_HOME: join(cache, 'xdg'),
    npm_config_cache: join(cache, 'npm'),
    npm_config_update_notifier: 'false',
    CI: 'true',
  }
}

async function placePnpm(root) {
  const version = pnpmVersion(root)
  const home = join(root, '.capstan', 'cache', `pnpm-${version}`)
  const entry = join('node_modules', 'pnpm', 'bin', 'pnpm.cjs')
  if (existsSync(join(home, entry))) return join(home, entry)
  const draft = `${home}.${process.pid}`
  rmSync(draft, { recursive: true, force: true })
  mkdirSync(draft, { recursive: true })
  const args = ['install', '--prefix', draft, '--no-audit', '--no-fund', '--no-package-lock', `pnpm@${version}`]
  const { code, output } = await runTool(`installing pnpm ${version}`, 'npm', args, {
    cwd: draft,
    env: confined(root),
  }).catch((error) => {
    if (error.code !== 'ENOENT') throw error
    throw new MissingComponent(
      'npm is missing. It comes with Node.js: install Node.js 20.19 or newer from https://nodejs.org.',
    )
  })
  if (code !== 0) {
    rmSync(draft, { recursive: true, force: true })
    throw new SetupFailure(`npm could not install pnpm ${version}; is the package registry reachable?\n${output}`)
  }
  rmSync(home, { recursive: true, force: true })
  renameSync(draft, home)
  return join(home, entry)
}

function fingerprint(root) {
  const hash = createHash('sha256').update(`${process.version} ${process.platform} ${process.arch}`)
  const manifests = readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(join(root, entry.name, 'package.json')))
    .map((entry) => join(entry.name, 'package.json'))
    .sort()
  for (const file of ['pnpm-lock.yaml', 'pnpm-workspace.yaml', 'package.json', ...manifests]) {
    hash.update(`\0${file}\0`).update(readFileSync(join(root, file)))
  }
  return hash.digest('hex')
}

/** Installs exactly what the lockfile says; does nothing when that has been done. */
export async function installDependencies(root) {
  const stamp = join(root, 'node_modules', '.capstan-installed')
  const wanted = fingerprint(root)
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return
  const pnpm = await placePnpm(root)
  const store = join(root, '.capstan', 'cache', 'pnpm')
  const args = [
    pnpm,
    'install',
    '--frozen-lockfile',
    '--prefer-offline',
    '--store-dir',
    store,
    '--reporter',
    'append-only',
  ]
  const { code, output } = await runTool('installing dependencies', process.execPath, args, {
    cwd: root,
    env: confined(root),
  })
  if (code !== 0) throw new SetupFailure(`pnpm could not install the dependencies.\n${output}`)
  writeFileSync(stamp, wanted)
}
