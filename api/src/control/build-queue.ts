import type { WorkerPool } from '@capstan/migrations'
import { type BuildMessage, buildQueues } from '@capstan/migrations/messages'
import { Queue } from 'bullmq'
import type { Redis } from 'ioredis'

const ANSWER_MS = 5_000

/** The queue that rings for workers. It holds ids; losing it loses nothing, because jobs are rung for again. */
export type BuildQueue = {
  /** Rings for an attempt. Ringing twice for the same one is one entry. */
  ring(message: BuildMessage, attempt: number, pool?: WorkerPool): Promise<void>
  /** Whether an entry for this attempt is waiting, delayed or with a worker. */
  has(buildId: string, attempt: number, pool?: WorkerPool): Promise<boolean>
  close(): Promise<void>
}

/** Redis is away, or does not answer in time. */
export class QueueUnavailable extends Error {
  override name = 'QueueUnavailable' as const
}

export function openBuildQueue(redis: Redis, onError: (error: Error) => void): BuildQueue {
  const open = (name: string) => {
    const queue = new Queue(name, { connection: redis, skipWaitingForReady: true })
    return queue.on('error', onError)
  }
  const queues = { standard: open(buildQueues.standard), macos: open(buildQueues.macos) }
  const entryId = (buildId: string, attempt: number) => `build-${buildId}-${attempt}`
  return {
    ring: (message, attempt, pool = 'standard') =>
      answered(redis, async () => {
        const jobId = entryId(message.buildId, attempt)
        await queues[pool].add('build', message, { jobId, attempts: 1, removeOnComplete: true, removeOnFail: true })
      }),
    has: (buildId, attempt, pool = 'standard') =>
      answered(redis, async () => (await queues[pool].getJob(entryId(buildId, attempt))) !== undefined),
    close: async () => void (await Promise.all(Object.values(queues).map((queue) => queue.close()))),
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
