import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Failure } from '../failure.js'
import type { StackSecrets } from './stack-secrets.js'

/** How the four processes reach Postgres and Redis; passwords are in files. */
export interface Connections {
  readonly database: Readonly<Record<'api' | 'control' | 'broker', Record<string, string>>>
  readonly redis: Readonly<Record<'api' | 'control' | 'worker', Record<string, string>>>
}

export interface RedisSource {
  readonly url: string
  readonly isOwn: boolean
}

function parse(name: string, url: string): URL {
  try {
    return new URL(url)
  } catch {
    throw new Failure(`${name} is not a URL.`, 2)
  }
}

function databaseEnv(
  ownerUrl: string,
  secrets: StackSecrets,
  role: 'api' | 'control' | 'broker',
): Record<string, string> {
  const url = parse('DATABASE_URL', ownerUrl)
  url.username = `capstan_${role}`
  url.password = ''
  return { DATABASE_URL: url.href, DATABASE_PASSWORD_FILE: secrets.databaseFiles[role] }
}

/** An own Redis has one user for each process; an existing one has the user of its URL, if any. */
function redisEnv(
  source: RedisSource,
  secrets: StackSecrets,
  folder: string,
  name: 'api' | 'control' | 'worker',
): Record<string, string> {
  const url = parse('REDIS_URL', source.url)
  const { username, password } = url
  url.username = ''
  url.password = ''
  if (source.isOwn) {
    const user = `capstan_${name}` as const
    return { REDIS_URL: url.href, REDIS_USERNAME: user, REDIS_PASSWORD_FILE: secrets.redisFiles[user] }
  }
  if (!password) return { REDIS_URL: url.href }
  const file = join(folder, 'redis-existing-password')
  rmSync(file, { force: true })
  writeFileSync(file, decodeURIComponent(password), { mode: 0o400 })
  return { REDIS_URL: url.href, REDIS_USERNAME: decodeURIComponent(username) || 'default', REDIS_PASSWORD_FILE: file }
}

export function describeConnections(
  ownerUrl: string,
  source: RedisSource,
  secrets: StackSecrets,
  folder: string,
): Connections {
  const redis = (name: 'api' | 'control' | 'worker'): Record<string, string> => redisEnv(source, secrets, folder, name)
  const database = (role: 'api' | 'control' | 'broker'): Record<string, string> => databaseEnv(ownerUrl, secrets, role)
  return {
    database: { api: database('api'), control: database('control'), broker: database('broker') },
    redis: { api: redis('api'), control: redis('control'), worker: redis('worker') },
  }
}

/** The worker that every stack has. */
export const firstWorker = 'worker-1'

/** Name of the secret with a worker's token. */
export const workerTokenName = (worker: string): string =>
  worker === firstWorker ? 'worker-token' : `worker-token-${worker}`
