import { BUILD_QUEUE, type BuildMessage } from '@capstan/migrations/messages'
import { Queue } from 'bullmq'
import type { Redis } from 'ioredis'

const ANSWER_MS = 5_000

/** The queue that rings for workers. It holds ids; losing it loses nothing, because jobs are rung for again. */
export type BuildQueue = {
  /** Rings for an attempt. Ringing twice for the same one is one entry. */
  ring(message: BuildMessage, attempt: number): Promise<void>
  /** Whether an entry for this attempt is waiting, delayed or with a worker. */
  has(buildId: string, attempt: number): Promise<boolean>
  close(): Promise<void>
}

/** Redis is away, or does not answer in time. */
export class QueueUnavailable extends Error {
  override name = 'QueueUnavailable' as const
}

export function openBuildQueue(redis: Redis, onError: (error: Error) => void): BuildQueue {
  const queue = new Queue(BUILD_QUEUE, { connection: redis, skipWaitingForReady: true })
  queue.on('error', onError)
  const entryId = (buildId: string, attempt: number) => `build-${buildId}-${attempt}`
  return {
    ring: (message, attempt) =>
      answered(redis, async () => {
        const jobId = entryId(message.buildId, attempt)
        await queue.add('build', message, { jobId, attempts: 1, removeOnComplete: true, removeOnFail: true })
      }),
    has: (buildId, attempt) =>
      answered(redis, async () => (await queue.getJob(entryId(buildId, attempt))) !== undefined),
    close: () => queue.close(),
  }
}

/** BullMQ waits for ever for a Redis that is away; a relay that holds a row must not. */
async function answered<T>(redis: Redis, ask: () => Promise<T>): Promise<T> {
  if (redis.status !== 'ready') throw new QueueUnavailable('Redis is not connected.')
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new QueueUnavailable('Redis does not answer.')), ANSWER_MS)
  })
  const asked = ask().catch((error: unknown) => {
    throw new QueueUnavailable('Redis refused the entry.', { cause: error })
  })
  try {
    return await Promise.race([asked, late])
  } finally {
    clearTimeout(timer)
    asked.catch(() => undefined)
  }
}
