import { readFileSync } from 'node:fs'
import { z } from 'zod'

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
  STACK_ID: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/),
  EXTRA_CA_FILE: text.optional(),
  WORKER_CONCURRENCY: z.coerce.number().int().min(1).max(64).default(2),
  HEARTBEAT_MS: milliseconds.default(15_000),
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
  stackId: string
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
      stackId: settings.STACK_ID,
      concurrency: settings.WORKER_CONCURRENCY,
      heartbeatMs: settings.HEARTBEAT_MS,
      idleLimitMs: settings.IDLE_LIMIT_MS,
      dockerRetryMs: settings.DOCKER_RETRY_MS,
      logLevel: settings.LOG_LEVEL,
    },
    secrets: readSecrets(settings),
  }
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
