import { readFileSync } from 'node:fs'
import { z } from 'zod'
import type { HostPolicy, HostRule } from './egress/host-policy.js'
import { defaultHosts, parseHostRule } from './egress/host-policy.js'

/** A setting is missing or wrong; the message is one sentence for the operator. */
export class ConfigError extends Error {
  override name = 'ConfigError'
}

const text = z.string().min(1)
const milliseconds = z.coerce.number().int().min(50)

const Environment = z.object({
  REDIS_URL: z.url({ protocol: /^rediss?$/ }),
  REDIS_USERNAME: text.optional(),
  REDIS_PASSWORD_FILE: text.optional(),
  API_URL: z.url({ protocol: /^https?$/ }),
  WORKER_TOKEN_FILE: text,
  WORKER_NAME: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/),
  BROKER_OPEN_SOCKET: text,
  DOCKER_HOST: z.url({ protocol: /^(unix|tcp|http)$/ }).default('unix:///var/run/docker.sock'),
  BUILDER_IMAGE: text,
  BUILDER_IMAGE_DIGESTS: z
    .string()
    .regex(/^sha256:[0-9a-f]{64}(?:\s*,\s*sha256:[0-9a-f]{64})*$/)
    .optional(),
  CONTAINER_RUNTIME: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/)
    .optional(),
  STACK_ID: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/),
  EXTRA_CA_FILE: text.optional(),
  EGRESS_HOSTS: text.default('default'),
  EGRESS_PRIVATE_HOSTS: text.optional(),
  EGRESS_APP_HOSTS: z.enum(['allow', 'ignore']).default('allow'),
  WORKER_CONCURRENCY: z.coerce.number().int().min(1).max(64).default(2),
  // A canceled build learns of it with its next heartbeat, and has five seconds to end.
  HEARTBEAT_MS: milliseconds.default(3_000),
  IDLE_LIMIT_MS: milliseconds.default(10 * 60_000),
  DOCKER_RETRY_MS: milliseconds.default(5_000),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
})

export type WorkerConfig = {
  redis: { url: string; username?: string }
  apiUrl: string
  workerName: string
  brokerSocket: string
  dockerHost: string
  builderImage: string
  /** Digests of which the builder image must have one; empty: whatever `builderImage` names at the start. */
  builderImageDigests: readonly string[]
  containerRuntime?: string
  stackId: string
  hostPolicy: HostPolicy
  concurrency: number
  heartbeatMs: number
  idleLimitMs: number
  dockerRetryMs: number
  logLevel: string
}

export type WorkerSecrets = { workerToken: string; redisPassword?: string; extraCa?: Buffer }

export function readConfig(env: Record<string, string | undefined>): { config: WorkerConfig; secrets: WorkerSecrets } {
  const present = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''))
  const parsed = Environment.safeParse(present)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    const name = String(issue?.path[0] ?? 'environment')
    throw new ConfigError(name in present ? `${name} is not valid: ${issue?.message}.` : `${name} is not set.`)
  }
  const settings = parsed.data
  return {
    config: {
      redis: {
        url: settings.REDIS_URL,
        ...(settings.REDIS_USERNAME !== undefined && { username: settings.REDIS_USERNAME }),
      },
      apiUrl: settings.API_URL.replace(/\/+$/, ''),
      workerName: settings.WORKER_NAME,
      brokerSocket: settings.BROKER_OPEN_SOCKET,
      dockerHost: settings.DOCKER_HOST,
      builderImage: settings.BUILDER_IMAGE,
      builderImageDigests: settings.BUILDER_IMAGE_DIGESTS?.split(',').map((digest) => digest.trim()) ?? [],
      ...(settings.CONTAINER_RUNTIME !== undefined && { containerRuntime: settings.CONTAINER_RUNTIME }),
      stackId: settings.STACK_ID,
      hostPolicy: readHostPolicy(settings),
      concurrency: settings.WORKER_CONCURRENCY,
      heartbeatMs: settings.HEARTBEAT_MS,
      idleLimitMs: settings.IDLE_LIMIT_MS,
      dockerRetryMs: settings.DOCKER_RETRY_MS,
      logLevel: settings.LOG_LEVEL,
    },
    secrets: readSecrets(settings),
  }
}

function readHostPolicy(settings: z.infer<typeof Environment>): HostPolicy {
  const appHostsCount = settings.EGRESS_APP_HOSTS === 'allow'
  const privateAllowed = readHostRules('EGRESS_PRIVATE_HOSTS', settings.EGRESS_PRIVATE_HOSTS ?? '')
  if (settings.EGRESS_HOSTS.trim() === '*') return { allowed: 'any', privateAllowed, appHostsCount }
  return { allowed: readHostRules('EGRESS_HOSTS', settings.EGRESS_HOSTS), privateAllowed, appHostsCount }
}

/** A list with commas; the word `default` stands for the built-in list, `none` for no host. */
function readHostRules(name: string, list: string): HostRule[] {
  const entries = list.split(',').map((entry) => entry.trim())
  return entries
    .filter((entry) => entry !== '' && entry !== 'none')
    .flatMap((entry) => (entry === 'default' ? defaultHosts : [entry]))
    .map((entry) => {
      const rule = parseHostRule(entry)
      if (rule === undefined) throw new ConfigError(`${name} has ${JSON.stringify(entry)}, which is not a host name.`)
      return rule
    })
}

function readSecrets(settings: z.infer<typeof Environment>): WorkerSecrets {
  const workerToken = readSetting('WORKER_TOKEN_FILE', settings.WORKER_TOKEN_FILE).toString('utf8').trim()
  if (!/^cw_[A-Za-z0-9]{36}$/.test(workerToken)) {
    throw new ConfigError('WORKER_TOKEN_FILE does not hold a worker token (cw_ and 36 letters or digits).')
  }
  const secrets: WorkerSecrets = { workerToken }
  if (settings.REDIS_PASSWORD_FILE !== undefined) {
    secrets.redisPassword = readSetting('REDIS_PASSWORD_FILE', settings.REDIS_PASSWORD_FILE).toString('utf8').trim()
  }
  if (settings.EXTRA_CA_FILE !== undefined) {
    secrets.extraCa = readSetting('EXTRA_CA_FILE', settings.EXTRA_CA_FILE)
    if (!secrets.extraCa.includes('-----BEGIN CERTIFICATE-----')) {
      throw new ConfigError('EXTRA_CA_FILE does not hold a PEM certificate.')
    }
  }
  return secrets
}

function readSetting(name: string, path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable'
    throw new ConfigError(`${name} names a file that cannot be read (${code}).`, { cause: error })
  }
}
