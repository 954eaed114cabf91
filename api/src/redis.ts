import { Redis } from 'ioredis'
import type { Logger } from 'pino'
import { readPassword } from './config.js'

export type RedisConfig = {
  REDIS_URL: string
  REDIS_USERNAME?: string | undefined
  REDIS_PASSWORD_FILE?: string | undefined
}

/** Reconnects for ever; commands fail at once while Redis is away, so that no request waits for it. */
export function openRedis(config: RedisConfig, log: Logger): Redis {
  const password = readPassword(config.REDIS_PASSWORD_FILE)
  const redis = new Redis(config.REDIS_URL, {
    ...(config.REDIS_USERNAME ? { username: config.REDIS_USERNAME } : {}),
    ...(password === undefined ? {} : { password }),
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    retryStrategy: (times) => Math.min(times * 200, 2_000),
  })
  redis.on('error', (error) => log.warn({ reason: error.message }, 'redis does not answer'))
  return redis
}
