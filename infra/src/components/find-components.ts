import { accessSync, constants, existsSync } from 'node:fs'
import { join } from 'node:path'

export interface Component {
  readonly name: string
  /** Programs that must be there. */
  readonly programs: readonly string[]
  readonly debianPackages: readonly string[]
  readonly brewCommand: string
  /** Services that the packages would start and enable; Capstan runs its own. */
  readonly services: readonly string[]
}

const components = {
  redis: {
    name: 'Redis',
    programs: ['redis-server'],
    debianPackages: ['redis-server'],
    brewCommand: 'brew install redis',
    services: ['redis-server.service'],
  },
  docker: {
    name: 'Docker',
    programs: ['dockerd', 'docker'],
    debianPackages: ['docker.io', 'iptables', 'ca-certificates'],
    brewCommand: 'brew install --cask docker',
    services: ['docker.service', 'docker.socket', 'containerd.service'],
  },
  dockerClient: {
    name: 'the Docker command',
    programs: ['docker'],
    debianPackages: ['docker.io', 'ca-certificates'],
    brewCommand: 'brew install docker',
    services: ['docker.service', 'docker.socket', 'containerd.service'],
  },
  debootstrap: {
    name: 'debootstrap',
    programs: ['debootstrap'],
    debianPackages: ['debootstrap'],
    brewCommand: '',
    services: [],
  },
  git: { name: 'git', programs: ['git'], debianPackages: ['git'], brewCommand: 'brew install git', services: [] },
  openssl: {
    name: 'OpenSSL',
    programs: ['openssl'],
    debianPackages: ['openssl', 'ca-certificates'],
    brewCommand: 'brew install openssl',
    services: [],
  },
  sshServer: {
    name: 'an ssh server',
    programs: ['sshd'],
    debianPackages: ['openssh-server'],
    brewCommand: 'brew install openssh',
    services: ['ssh.service', 'ssh.socket'],
  },
  chromium: {
    name: 'Chromium',
    programs: ['chromium'],
    debianPackages: ['chromium'],
    brewCommand: 'brew install --cask chromium',
    services: [],
  },
} as const satisfies Record<string, Component>

export type ComponentName = keyof typeof components

export function hasProgram(name: string, path: string): boolean {
  return path
    .split(':')
    .filter(Boolean)
    .some((folder) => {
      try {
        const file = join(folder, name)
        if (!existsSync(file)) return false
        accessSync(file, constants.X_OK)
        return true
      } catch {
        return false
      }
    })
}

export function findMissing(names: readonly ComponentName[], path: string): Component[] {
  return names
    .map((name) => components[name])
    .filter(({ programs }) => !programs.every((program) => hasProgram(program, path)))
}
