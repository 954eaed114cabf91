import { isIP } from 'node:net'

/** What build tools ask for their packages, and where people keep their code. */
const packageHosts = [
  'registry.npmjs.org',
  'registry.yarnpkg.com',
  'repo.yarnpkg.com',
  'npm.jsr.io',
  'npm.pkg.github.com',
  'npm.registry.capawesome.io',
  'nodejs.org',
  'dl.google.com',
  'maven.google.com',
  'repo.maven.apache.org',
  'repo1.maven.org',
  'maven.pkg.github.com',
  'jitpack.io',
  'plugins.gradle.org',
  'plugins-artifacts.gradle.org',
  'services.gradle.org',
  'downloads.gradle.org',
]
const gitHosts = [
  'github.com',
  'api.github.com',
  'codeload.github.com',
  'raw.githubusercontent.com',
  'objects.githubusercontent.com',
  'release-assets.githubusercontent.com',
  'gitlab.com',
  'bitbucket.org',
  'dev.azure.com',
]
export const defaultHosts: readonly string[] = [...packageHosts, ...gitHosts]

const defaultPorts = [443, 80]
const pattern =
  /^(\*\.)?((?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)(?::(\d{1,5}))?$/

export type HostRule = { name: string; withSubdomains: boolean; ports: readonly number[] }
export type HostPolicy = {
  /** Hosts that may be called where they have public addresses; `'any'` is every one. */
  allowed: readonly HostRule[] | 'any'
  /** What one build adds to that. */
  alsoAllowed?: readonly HostRule[]
  /** Hosts that may be called in private networks too. */
  privateAllowed: readonly HostRule[]
  /** Whether an app's own list counts. */
  appHostsCount: boolean
}
export type Decision = 'refused' | 'public' | 'private'

/** `host`, `*.host` (its subdomains), each with an optional `:port`; anything else has no rule. */
export function parseHostRule(text: string): HostRule | undefined {
  const match = pattern.exec(text.trim().toLowerCase())
  const [, star, name = '', port] = match ?? []
  const number = Number(port)
  if (match === null || (port !== undefined && (number < 1 || number > 65_535))) return undefined
  if (star !== undefined && isIP(name) !== 0) return undefined
  return { name, withSubdomains: star !== undefined, ports: port === undefined ? defaultPorts : [number] }
}

/** The operator's policy with the hosts of an app, which can only ever be public ones. */
export function policyForBuild(policy: HostPolicy, appHosts: readonly string[] = []): HostPolicy {
  if (!policy.appHostsCount) return policy
  return allowMore(
    policy,
    appHosts.flatMap((text) => parseHostRule(text) ?? []),
  )
}

export function allowMore(policy: HostPolicy, rules: readonly HostRule[]): HostPolicy {
  return { ...policy, alsoAllowed: [...(policy.alsoAllowed ?? []), ...rules] }
}

export function decide(policy: HostPolicy, host: string, port: number): Decision {
  if (policy.privateAllowed.some((rule) => matches(rule, host, port))) return 'private'
  if (policy.alsoAllowed?.some((rule) => matches(rule, host, port)) === true) return 'public'
  if (policy.allowed === 'any') return defaultPorts.includes(port) ? 'public' : 'refused'
  return policy.allowed.some((rule) => matches(rule, host, port)) ? 'public' : 'refused'
}

function matches({ name, withSubdomains, ports }: HostRule, host: string, port: number): boolean {
  if (!ports.includes(port)) return false
  return withSubdomains ? host.endsWith(`.${name}`) : host === name
}
