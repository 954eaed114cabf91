import { BUILD_QUEUE, BuildMessage } from '@capstan/migrations/messages'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Job } from 'bullmq'
import { DelayedError, Worker } from 'bullmq'
import type { Redis } from 'ioredis'
import { workerStopped } from './build-failure.js'
import { EngineUnavailable } from './container-engine.js'
import type { BuildWorld } from './run-build.js'
import { runBuild } from './run-build.js'

export type TakeBuildsOptions = {
  world: BuildWorld
  connection: Redis
  concurrency: number
  /** How long a build waits before a worker without container engine looks at it again. */
  retryMs: number
  /** Where the queue's keys live, when not under BullMQ's own default. */
  prefix?: string
}

/** What this worker builds: containers are no place for Apple's compilers. */
export const capabilities = ['android', 'web'] as const

const claimBudgetMs = 20_000
const waitingReportBudgetMs = 2_000
const closeLimitMs = 8_500

/**
 * The queue is a doorbell: an entry says "look at this build", the API decides. An entry that cannot be served now goes
 * back; one that is not to be served, because the build was claimed or ended, is dropped.
 */
export function takeBuilds(options: TakeBuildsOptions): AsyncDisposable {
  const { world, connection, concurrency, prefix } = options
  const shutdown = new AbortController()
  const queue = new Worker(BUILD_QUEUE, (job, token) => takeOne(options, shutdown.signal, job, token), {
    connection,
    concurrency,
    // Postgres decides what is lost; the queue must never run a build a second time by itself.
    maxStalledCount: 0,
    lockDuration: 60_000,
    ...(prefix !== undefined && { prefix }),
  })
  queue.on('error', (error) => world.log.warn({ err: error }, 'queue trouble'))
  return {
    async [Symbol.asyncDispose]() {
      shutdown.abort(workerStopped())
      // Closing waits for the running builds to be handed back, and would wait for ever for a Redis that is away.
      await Promise.race([queue.close(), sleep(closeLimitMs, undefined, { ref: false })])
    },
  }
}

async function takeOne(options: TakeBuildsOptions, shutdown: AbortSignal, job: Job, token?: string): Promise<void> {
  const { world, retryMs } = options
  const message = BuildMessage.safeParse(job.data)
  if (!message.success) {
    world.log.error({ jobId: job.id }, 'a queue entry is not a build message; dropped')
    return
  }
  const { buildId } = message.data
  const putBack = async (): Promise<never> => {
    await job.moveToDelayed(Date.now() + retryMs, token)
    throw new DelayedError()
  }
  if (!(await engineAnswers(world, buildId))) return putBack()
  let claim
  try {
    const request = { worker: world.identity.workerName, capabilities: [...capabilities] }
    claim = await world.api.claim(buildId, request, { signal: shutdown, budgetMs: claimBudgetMs })
  } catch (error) {
    world.log.warn({ err: error, buildId }, 'the build could not be claimed; tried again later')
    return putBack()
  }
  if (claim === undefined) {
    world.log.info({ buildId }, 'the build is not to be had; dropped')
    return
  }
  world.log.info({ buildId, attempt: claim.attempt }, 'build claimed')
  await runBuild(world, claim, shutdown)
}

async function engineAnswers(world: BuildWorld, buildId: string): Promise<boolean> {
  try {
    await world.engine.ping()
    return true
  } catch (error) {
    if (!(error instanceof EngineUnavailable)) throw error
    world.log.warn({ err: error, buildId }, 'the container engine does not answer; the build waits')
    const message = 'The container engine on the worker does not answer. The build starts when it is back.'
    await world.api
      .reportWaiting(buildId, { code: 'container-engine-unavailable', message }, { budgetMs: waitingReportBudgetMs })
      .catch(() => undefined)
    return false
  }
}
