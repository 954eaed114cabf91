import { setTimeout as sleep } from 'node:timers/promises'
import { appChanges, apps, type Database, type Listen, type Transaction, withPublished } from '@capstan/migrations'
import { asc, gt, gte, sql } from 'drizzle-orm'
import type { Logger } from 'pino'
import { loadPublished } from './load-published.js'
import { watchNotifications } from '../watch-notifications.js'
import type { PublishedApp } from './published-app.js'

const APPS_AT_ONCE = 1_000
const POLL_MS = 500
const SILENT_AFTER_MS = 3_000

export type PublishedIndex = {
  /** What an app publishes; null when there is no such app. Asks nobody. */
  find(appId: string): PublishedApp | null
  /** Settles once all that was committed before this call is visible here. */
  refresh(): Promise<void>
  /** Whether the database answered lately; without it, what was known last stays the answer. */
  isCurrent(): boolean
  [Symbol.asyncDispose](): Promise<void>
}

export type PublishedIndexOptions = {
  db: Database
  listen: Listen
  log: Logger
  pollMs?: number
  /** Ends the wait for a database that does not answer at the start. */
  signal?: AbortSignal
}

/**
 * Everything that devices may learn, in memory. A changed app is read anew when the database says so, or, should that
 * word be lost, when the next poll finds it. Settles once everything was read.
 */
export async function openPublishedIndex(options: PublishedIndexOptions): Promise<PublishedIndex> {
  const { db, log, pollMs = POLL_MS } = options
  const stopping = new AbortController()
  const known = new Map<string, PublishedApp>()
  let waiting: { resolve: () => void; reject: (error: unknown) => void }[] = []
  let bell = createBell()
  let answeredAt = Date.now()
  let silent = false
  const watcher = watchNotifications(options.listen, 'app_changed', () => bell.ring())
  let mark = await loadAll(db, known, options)

  const pass = async () => {
    const asked = waiting
    waiting = []
    bell = createBell()
    try {
      // First the ear, then the look: what changes in between is heard.
      await watcher.listen().catch((error: unknown) => log.debug({ err: error }, 'notifications are not heard'))
      mark = await withPublished(db, (tx) => readChanges(tx, known, mark))
      if (silent) log.info('update checks are current again')
      silent = false
      answeredAt = Date.now()
      for (const { resolve } of asked) resolve()
    } catch (error) {
      if (!silent) log.warn({ err: error }, 'the database does not answer; update checks are answered from memory')
      silent = true
      for (const { reject } of asked) reject(error)
    }
  }
  const loop = (async () => {
    while (!stopping.signal.aborted) {
      await pass()
      const pause = new AbortController()
      await Promise.race([sleep(pollMs, undefined, { signal: pause.signal }).catch(() => undefined), bell.rung])
      pause.abort()
    }
  })()

  return {
    find: (appId) => known.get(appId) ?? known.get(appId.toLowerCase()) ?? null,
    refresh: () =>
      new Promise((resolve, reject) => {
        if (stopping.signal.aborted) return resolve()
        waiting.push({ resolve, reject })
        bell.ring()
      }),
    isCurrent: () => Date.now() - answeredAt < SILENT_AFTER_MS,
    async [Symbol.asyncDispose]() {
      stopping.abort()
      bell.ring()
      await Promise.race([loop, sleep(2_000, undefined, { ref: false })])
      for (const { resolve } of waiting) resolve()
      await watcher.stop()
    },
  }
}

/**
 * How far the index has come: every transaction before `since` had ended at the last look; `seen` are the later ones
 * that it shows already.
 */
type Mark = { since: number; seen: ReadonlyMap<string, number> }

async function loadAll(db: Database, known: Map<string, PublishedApp>, options: PublishedIndexOptions): Promise<Mark> {
  for (;;) {
    try {
      return await withPublished(db, async (tx) => {
        known.clear()
        const since = await oldestRunning(tx)
        for (let last = '00000000-0000-0000-0000-000000000000'; ;) {
          const page = await tx
            .select({ id: apps.id })
            .from(apps)
            .where(gt(apps.id, last))
            .orderBy(asc(apps.id))
            .limit(APPS_AT_ONCE)
          const ids = page.map(({ id }) => id)
          for (const app of await loadPublished(tx, ids)) known.set(app.id, app)
          if (ids.length < APPS_AT_ONCE) return { since, seen: new Map() }
          last = ids.at(-1) ?? last
        }
      })
    } catch (error) {
      if (options.signal === undefined || options.signal.aborted) throw error
      options.log.warn({ err: error }, 'waiting for the database')
      await sleep(1_000, undefined, { signal: options.signal })
    }
  }
}

async function readChanges(tx: Transaction, known: Map<string, PublishedApp>, mark: Mark): Promise<Mark> {
  const since = await oldestRunning(tx)
  const changes = await tx.select().from(appChanges).where(gte(appChanges.changedIn, mark.since))
  const stale = changes.filter(({ appId, changedIn }) => mark.seen.get(appId) !== changedIn).map(({ appId }) => appId)
  for (let at = 0; at < stale.length; at += APPS_AT_ONCE) {
    const ids = stale.slice(at, at + APPS_AT_ONCE)
    const found = new Map((await loadPublished(tx, ids)).map((app) => [app.id, app]))
    for (const id of ids) {
      const app = found.get(id)
      if (app) known.set(id, app)
      else known.delete(id)
    }
  }
  return { since, seen: new Map(changes.map(({ appId, changedIn }) => [appId, changedIn])) }
}

async function oldestRunning(tx: Transaction): Promise<number> {
  const [row] = await tx.execute<{ xmin: string }>(sql`select pg_snapshot_xmin(pg_current_snapshot())::text as xmin`)
  return Number(row?.xmin)
}

function createBell(): { ring: () => void; rung: Promise<void> } {
  let ring: () => void = () => undefined
  const rung = new Promise<void>((resolve) => (ring = resolve))
  return { ring: () => ring(), rung }
}
