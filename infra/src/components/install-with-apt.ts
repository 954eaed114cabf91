import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { missing } from '../failure.js'
import { reportProgress, type Say } from '../report-progress.js'
import { runTool } from '../run-tool.js'
import type { Component } from './find-components.js'
import { removeStartLinks } from './remove-start-links.js'

const startPolicy = '/usr/sbin/policy-rc.d'
const denyStarts =
  '#!/bin/sh\n# Written by Capstan while it installs packages: their services stay stopped.\nexit 101\n'

/** Debian asks this file whether a package may start its service. A policy of the machine's own stays in force. */
async function withoutServiceStarts<T>(work: () => Promise<T>): Promise<T> {
  if (existsSync(startPolicy)) return work()
  const remove = (): void => rmSync(startPolicy, { force: true })
  writeFileSync(startPolicy, denyStarts, { mode: 0o755 })
  process.once('exit', remove)
  try {
    return await work()
  } finally {
    remove()
    process.off('exit', remove)
  }
}

async function apt(args: readonly string[], env: Readonly<Record<string, string>>): Promise<void> {
  const { code, stdout, stderr } = await runTool('apt-get', ['-q', '-o', 'DPkg::Lock::Timeout=300', ...args], {
    env: { ...env, DEBIAN_FRONTEND: 'noninteractive' },
  })
  if (code === 0) return
  const said = `${stdout}\n${stderr}`.trim().split('\n').slice(-8).join('\n')
  throw missing(`\`apt-get ${args.join(' ')}\` failed with exit code ${code}:\n${said}`)
}

/** Services that the machine does not have yet; one that is there was set up by somebody and stays as it is. */
function newServices(wanted: readonly Component[]): string[] {
  const unitFolders = ['/lib/systemd/system', '/usr/lib/systemd/system', '/etc/systemd/system']
  const services = wanted.flatMap((component) => component.services)
  return services.filter((service) => !unitFolders.some((folder) => existsSync(join(folder, service))))
}

async function keepServicesOff(services: readonly string[], env: Readonly<Record<string, string>>): Promise<void> {
  for (const service of services) {
    const { code } = await runTool('systemctl', ['disable', '--quiet', service], { env })
    if (code === 0) continue
    // Without systemd the packages still ask to be started: by this machine's own init, and by a systemd installed later.
    removeStartLinks('/etc/systemd/system', service)
    if (service.endsWith('.service')) await runTool('update-rc.d', [service.slice(0, -8), 'disable'], { env })
  }
}

/** Installs Debian packages; their services are neither started nor enabled. */
export async function installWithApt(
  wanted: readonly Component[],
  env: Readonly<Record<string, string>>,
  say: Say,
): Promise<void> {
  const services = newServices(wanted)
  const packages = [...new Set(wanted.flatMap((component) => component.debianPackages))]
  say(`missing on this machine: ${wanted.map(({ name }) => name).join(', ')}`)
  const install = ['install', '-y', '--no-install-recommends', ...packages]
  await reportProgress(say, 'apt-get update', () => apt(['update'], env))
  await reportProgress(say, `apt-get ${install.join(' ')}`, () => withoutServiceStarts(() => apt(install, env)))
  await keepServicesOff(services, env)
}
