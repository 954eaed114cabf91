import { readFileSync } from 'node:fs'
import type { Config } from '../config.js'
import { missing } from '../failure.js'
import type { Say } from '../report-progress.js'
import { defaultDockerHost, dockerProblem } from '../stack/ask-docker.js'
import { findMissing, hasProgram, type Component, type ComponentName } from './find-components.js'
import { installWithApt } from './install-with-apt.js'

function isDebian(path: string): boolean {
  try {
    return (
      /^ID(_LIKE)?=.*\b(debian|ubuntu)\b/m.test(readFileSync('/etc/os-release', 'utf8')) && hasProgram('apt-get', path)
    )
  } catch {
    return false
  }
}

function explain(absent: readonly Component[], debian: boolean): string {
  const names = absent.map(({ name }) => name).join(', ')
  const packages = [...new Set(absent.flatMap(({ debianPackages }) => debianPackages))].join(' ')
  const brew = absent.map(({ brewCommand }) => brewCommand).filter(Boolean)
  if (process.platform === 'darwin') return `Missing: ${names}. Install with \`${brew.join(' && ')}\`.`
  if (debian) return `Missing: ${names}. Install with \`sudo apt-get install --no-install-recommends ${packages}\`.`
  return `Missing: ${names}. Install them with the system's package tool (on Debian the packages are ${packages}).`
}

/** What a stack needs, given the servers that exist already. */
async function wantedComponents(config: Config): Promise<ComponentName[]> {
  const dockerAnswers = (await dockerProblem(config.dockerHost ?? defaultDockerHost)) === undefined
  const wanted: ComponentName[] = ['git', 'openssl', dockerAnswers || config.dockerHost ? 'dockerClient' : 'docker']
  if (!config.redisUrl) wanted.push('redis')
  if (process.platform === 'linux' && config.isRoot) wanted.push('debootstrap')
  return wanted
}

/** Installs what is missing where that is ours to do, and otherwise says what to install. */
export async function requireComponents(
  config: Config,
  say: Say,
  besides: readonly ComponentName[] = [],
): Promise<void> {
  const path = config.baseEnv['PATH'] ?? ''
  const wanted = [...(await wantedComponents(config)), ...besides]
  const absent = findMissing(wanted, path)
  if (absent.length === 0) return
  const debian = isDebian(path)
  if (!debian || !config.isRoot) throw missing(explain(absent, debian))
  await installWithApt(absent, config.baseEnv, say)
  const still = findMissing(wanted, path)
  if (still.length > 0) throw missing(explain(still, debian))
}
