// Runs inside the build container (`node --input-type=module - <source directory> <app id>`) and prints what the phases
// need to know about the project and the image as one JSON line. One file, Node built-ins only.
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'

export type PackageManager = 'npm' | 'npm-unlocked' | 'pnpm' | 'yarn' | 'yarn-berry' | 'bun'

export type Project = {
  /** The app's folder, from the source's root; empty for the root itself. */
  baseDir: string
  /** Where the lockfile lies: the app's folder or, in a monorepo, one above it. */
  installDir: string
  installCommand: string | null
  webBuildCommand: string | null
  packageManager: PackageManager | null
  /** Of the file that says what is installed. */
  lockfileSha256: string | null
  scripts: string[]
  hasCapacitorCli: boolean
  webDir: string | null
  hasGradlew: boolean
  isGradlewExecutable: boolean
  problem: string | null
}

type Root = { directory: string; problems: string[] }

export function inspectProject(directory: string, appId: string): Project {
  const root: Root = { directory, problems: [] }
  const settings = settingsOf(root, appId)
  const baseDir = pathSetting(root, settings, 'baseDir') ?? ''
  const folder = join(directory, baseDir)
  if (!existsSync(folder)) root.problems.push(`The source has no folder ${JSON.stringify(baseDir)} (baseDir).`)
  const has = (name: string) => existsSync(join(folder, name))
  const manifest = readJson(root, join(folder, 'package.json'))
  const installDir = lockedFolder(directory, folder)
  const gradlew = join(folder, 'android', 'gradlew')
  const hasGradlew = existsSync(gradlew)
  return {
    baseDir,
    installDir: relative(directory, installDir),
    installCommand: textSetting(root, settings, 'dependencyInstallCommand'),
    webBuildCommand: textSetting(root, settings, 'webBuildCommand'),
    packageManager: has('package.json') ? packageManagerOf(installDir) : null,
    lockfileSha256: hashOfLockfile(installDir),
    scripts: Object.keys(asRecord(manifest['scripts'])),
    hasCapacitorCli: [manifest['dependencies'], manifest['devDependencies']].some(
      (group) => '@capacitor/cli' in asRecord(group),
    ),
    webDir: webDirOf(readJson(root, join(folder, 'capacitor.config.json')), has),
    hasGradlew,
    isGradlewExecutable: hasGradlew && (statSync(gradlew).mode & 0o100) !== 0,
    problem: root.problems[0] ?? null,
  }
}

/** `capawesome.config.json` at the root has `cloud.apps`; the entry of this app counts, else one that names no app. */
function settingsOf(root: Root, appId: string): Record<string, unknown> {
  const cloud = asRecord(readJson(root, join(root.directory, 'capawesome.config.json'))['cloud'])
  const { apps = [] } = cloud
  if (!Array.isArray(apps)) {
    root.problems.push('cloud.apps in capawesome.config.json must be a list.')
    return {}
  }
  const entries = apps.map(asRecord)
  return entries.find((entry) => entry['appId'] === appId) ?? entries.find((entry) => !('appId' in entry)) ?? {}
}

function textSetting({ problems }: Root, settings: Record<string, unknown>, name: string): string | null {
  const value = settings[name]
  if (value === undefined || value === null || value === '') return null
  if (typeof value === 'string' && value.length <= 2_000 && !value.includes('\0')) return value
  problems.push(`${name} in capawesome.config.json must be a text of at most 2000 characters.`)
  return null
}

function pathSetting(root: Root, settings: Record<string, unknown>, name: string): string | null {
  const path = textSetting(root, settings, name)
    ?.replace(/^(?:\.\/)+/, '')
    .replace(/\/+$/, '')
  if (path === undefined || path === '' || path === '.') return null
  if (!path.startsWith('/') && !path.split('/').includes('..')) return path
  root.problems.push(`${name} in capawesome.config.json must be a folder inside the source.`)
  return null
}

function readJson({ problems, directory }: Root, path: string): Record<string, unknown> {
  if (!existsSync(path)) return {}
  try {
    return asRecord(JSON.parse(readFileSync(path, 'utf8')))
  } catch {
    problems.push(`${relative(directory, path)} is not valid JSON.`)
    return {}
  }
}

const lockfiles = ['pnpm-lock.yaml', 'yarn.lock', 'bun.lock', 'bun.lockb', 'package-lock.json', 'npm-shrinkwrap.json']

function lockedFolder(root: string, folder: string): string {
  for (let at = folder; at.startsWith(root); at = dirname(at)) {
    if (lockfiles.some((name) => existsSync(join(at, name)))) return at
    if (at === root) break
  }
  return folder
}

function hashOfLockfile(folder: string): string | null {
  const name = lockfiles.find((candidate) => existsSync(join(folder, candidate)))
  return name === undefined
    ? null
    : createHash('sha256')
        .update(readFileSync(join(folder, name)))
        .digest('hex')
}

function packageManagerOf(folder: string): PackageManager {
  const has = (name: string) => existsSync(join(folder, name))
  if (has('pnpm-lock.yaml')) return 'pnpm'
  if (has('yarn.lock')) return has('.yarnrc.yml') ? 'yarn-berry' : 'yarn'
  if (has('bun.lock') || has('bun.lockb')) return 'bun'
  if (has('package-lock.json') || has('npm-shrinkwrap.json')) return 'npm'
  return 'npm-unlocked'
}

/** A configuration that is code is not run here; the folders that frameworks build to are tried instead. */
function webDirOf(capacitor: Record<string, unknown>, has: (name: string) => boolean): string | null {
  const configured = capacitor['webDir']
  if (typeof configured === 'string') return configured
  return ['dist', 'www', 'build', 'public'].find((name) => has(join(name, 'index.html'))) ?? null
}

/** Folders of tools that an image may have several versions of, by version. */
function installed(folder: string, pattern: RegExp): Record<string, string> {
  const names = existsSync(folder) ? readdirSync(folder) : []
  return Object.fromEntries(
    names.flatMap((name) => {
      const version = pattern.exec(name)?.[1]
      return version === undefined ? [] : [[version, join(folder, name)]]
    }),
  )
}

export function inspectTools() {
  return {
    path: process.env['PATH'] ?? '',
    node: {
      ...installed('/opt/node', /^v?(\d+(?:\.\d+)*)$/),
      [process.versions.node]: dirname(dirname(process.execPath)),
    },
    java: installed('/usr/lib/jvm', /^java-(\d+)$/),
    programs: ['npm', 'pnpm', 'yarn', 'bun'].filter((name) =>
      (process.env['PATH'] ?? '').split(':').some((folder) => existsSync(join(folder, name))),
    ),
  }
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}

const [, script, directory, appId = ''] = process.argv
if (script === '-' && directory !== undefined) {
  console.log(JSON.stringify({ project: inspectProject(directory, appId), tools: inspectTools() }))
}
