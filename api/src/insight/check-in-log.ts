import type { Redis } from 'ioredis'
import type { Deps } from '../context.js'
import type { CheckIn } from '../updates/check-ins.js'

/** Kept of an app, and for how long after its last device asked. */
const KEPT = 500
const KEPT_SECONDS = 60 * 60
/** Written of one batch: a log that people read live need not hold every device of a large fleet. */
const WRITTEN_AT_ONCE = 50

export type LoggedCheckIn = Omit<CheckIn, 'orgId' | 'address' | 'lastSeenAt'> & { lastSeenAt: string; cursor: string }

const keyOf = (appId: string) => `capstan:check-ins:${appId}`

/** Keeps the live logs while a process runs. One that cannot be written is missed by nobody but its readers. */
export function keepCheckInLogs({ checkIns, redis, log }: Pick<Deps, 'checkIns' | 'redis' | 'log'>): void {
  checkIns.onWritten((batch) => {
    // Without Redis nothing waits for it: entries would pile up in memory.
    if (redis.status !== 'ready' && redis.status !== 'wait') return
    logCheckIns(redis, batch).catch((error: unknown) => log.warn({ err: error }, 'check-ins were not logged'))
  })
}

/** Appends to the live logs of the apps in a batch. */
async function logCheckIns(redis: Redis, batch: readonly CheckIn[]): Promise<void> {
  const byApp = new Map<string, CheckIn[]>()
  for (const checkIn of batch) {
    const list = byApp.get(checkIn.appId) ?? []
    byApp.set(checkIn.appId, list)
    list.push(checkIn)
  }
  const pipeline = redis.pipeline()
  for (const [appId, list] of byApp) {
    for (const { orgId: _org, address: _address, ...said } of list.slice(-WRITTEN_AT_ONCE)) {
      const entry = { ...said, lastSeenAt: new Date(said.lastSeenAt).toISOString() }
      pipeline.xadd(keyOf(appId), 'MAXLEN', '~', KEPT, '*', 'entry', JSON.stringify(entry))
    }
    pipeline.expire(keyOf(appId), KEPT_SECONDS)
  }
  await pipeline.exec()
}

/** The entries after a cursor, oldest first; without one the newest. */
export async function readCheckIns(
  redis: Redis,
  appId: string,
  { after, limit }: { after: string | null; limit: number },
): Promise<LoggedCheckIn[]> {
  const found =
    after === null
      ? (await redis.xrevrange(keyOf(appId), '+', '-', 'COUNT', limit)).toReversed()
      : await redis.xrange(keyOf(appId), `(${after}`, '+', 'COUNT', limit)
  return found.map(([cursor, [, entry]]) => ({
    ...(JSON.parse(entry ?? '{}') as Omit<LoggedCheckIn, 'cursor'>),
    cursor,
  }))
}
