import type { Redis } from 'ioredis'

/** Redis channel on which listeners of a job's live log are woken: it carries a line number, never a line. */
export const logChannel = (jobId: string) => `capstan:logs:${jobId}`

/** Wakes listeners. They also look for themselves, so a Redis that is away costs a moment, not a line. */
export function ringLogBell(redis: Redis, jobId: string, lastNumber: number): void {
  redis.publish(logChannel(jobId), String(lastNumber)).catch(() => undefined)
}
