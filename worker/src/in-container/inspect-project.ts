// Runs inside the build container (`node --input-type=module - <project directory>`) and prints what the phases need to
// know about the project as one JSON line. One file, Node built-ins only.
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

export type PackageManager = 'npm' | 'npm-unlocked' | 'pnpm' | 'yarn' | 'yarn-berry' | 'bun'

export type Project = {
  packageManager: PackageManager | null
  scripts: string[]
  hasCapacitorCli: boolean
  webDir: string | null
  hasGradlew: boolean
  isGradlewExecutable: boolean
  problem: string | null
}

export function inspectProject(directory: string): Project {
  const problems: string[] = []
  const has = (name: string) => existsSync(join(directory, name))
  const readJson = (name: string): Record<string, unknown> => {
    if (!has(name)) return {}
    try {
      return asRecord(JSON.parse(readFileSync(join(directory, name), 'utf8')))
    } catch {
      problems.push(`${name} is not valid JSON.`)
      return {}
    }
  }
  const manifest = readJson('package.json')
  const capacitor = readJson('capacitor.config.json')
  const gradlew = join(directory, 'android', 'gradlew')
  const hasGradlew = existsSync(gradlew)
  return {
    packageManager: has('package.json') ? packageManagerOf(has) : null,
    scripts: Object.keys(asRecord(manifest['scripts'])),
    hasCapacitorCli: [manifest['dependencies'], manifest['devDependencies']].some(
      (group) => '@capacitor/cli' in asRecord(group),
    ),
    webDir: webDirOf(capacitor, has),
    hasGradlew,
    isGradlewExecutable: hasGradlew && (statSync(gradlew).mode & 0o100) !== 0,
    problem: problems[0] ?? null,
  }
}

function packageManagerOf(has: (name: string) => boolean): PackageManager {
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

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}

const [, script, directory] = process.argv
if (script === '-' && directory !== undefined) console.log(JSON.stringify(inspectProject(directory)))
