import { staticApps, staticObjects, type Transaction, withOrg } from '@capstan/migrations'
import { channelStatementLifetimeMs } from '@capstan/sdk/release'
import { and, eq } from 'drizzle-orm'
import type { ControlDeps } from '../control/control-deps.js'
import { loadPublished } from '../updates/load-published.js'
import type { PublishedApp } from '../updates/published-app.js'
import type { StatementKey } from '../updates/sign-channel-statement.js'
import { type ContentObject, findContent } from './find-content.js'
import { appFolder, RENEW_AFTER_MS } from './static-paths.js'
import type { StaticStore } from './static-store.js'
import { type WantedObject, wantedObjects } from './wanted-objects.js'

export type StaticParts = { store: StaticStore; key: StatementKey }
export type StaticDeps = Pick<ControlDeps, 'db' | 'objects' | 'now'> & { staticParts: StaticParts }
export type AppKey = { appId: string; orgId: string }

/** How long an app copies content at a time: what others changed is written in between. */
const COPYING_MS = 10_000

type Written = typeof staticObjects.$inferSelect
type Found = {
  changedIn: number | null
  app: PublishedApp | null
  content: ContentObject[]
  written: ReadonlyMap<string, Written>
}

/**
 * Brings the objects of one app up to date: first what is named by its content, then the objects of channels, which name
 * it. A bundle that cannot be copied fails it at the end, and keeps no pause of a channel waiting. Answers which change of
 * the app they show, and when they have to be written anew; null when there is more to copy than is copied at a time.
 */
export async function publishApp(
  deps: StaticDeps,
  app: AppKey,
): Promise<{ changedIn: number | null; renewAt: Date } | null> {
  const { objects, staticParts } = deps
  const now = deps.now()
  const found = await withOrg(deps.db, app.orgId, (tx) => find(tx, app.appId))
  const making = { objects, key: staticParts.key, now: now.getTime() }
  const wanted = found.app ? wantedObjects(found.app, found.content, making) : []
  const failures: unknown[] = []
  let oldest = now
  for (const object of wanted) {
    const before = found.written.get(object.path)
    if (before && isCurrent(object, before, now)) {
      if (object.kind === 'channels' && before.writtenAt < oldest) oldest = before.writtenAt
      if (before.unusedSince !== null) await note(deps, app, { ...before, unusedSince: null })
      continue
    }
    if (copies(object) && deps.now().getTime() - now.getTime() >= COPYING_MS) return null
    try {
      await staticParts.store.put(`${appFolder(app.appId)}/${object.path}`, await object.open())
      await note(deps, app, { path: object.path, digest: object.digest, writtenAt: now, unusedSince: null })
    } catch (error) {
      failures.push(error)
    }
  }
  const paths = new Set(wanted.map(({ path }) => path))
  for (const object of found.written.values()) if (!paths.has(object.path)) await retire(deps, app, object)
  if (failures.length > 0) throw failures[0]
  return { changedIn: found.changedIn, renewAt: new Date(oldest.getTime() + RENEW_AFTER_MS) }
}

const copies = ({ kind }: WantedObject) => kind === 'archives' || kind === 'patches'

/** The change first: one that is committed while the rest is read is found by the next look. */
async function find(tx: Transaction, appId: string): Promise<Found> {
  const [wanted] = await tx.select().from(staticApps).where(eq(staticApps.appId, appId))
  const [app] = await loadPublished(tx, [appId])
  const written = await tx.select().from(staticObjects).where(eq(staticObjects.appId, appId))
  return {
    changedIn: wanted?.wantedIn ?? null,
    app: app ?? null,
    content: app ? await findContent(tx, app) : [],
    written: new Map(written.map((row) => [row.path, row])),
  }
}

function isCurrent({ kind, digest }: WantedObject, before: Written, now: Date): boolean {
  const isFresh = kind !== 'channels' || now.getTime() - before.writtenAt.getTime() < RENEW_AFTER_MS
  return before.digest === digest && isFresh
}

type Note = Pick<Written, 'path' | 'digest' | 'writtenAt' | 'unusedSince'>

async function note({ db }: StaticDeps, { appId, orgId }: AppKey, { path, ...facts }: Note): Promise<void> {
  await withOrg(db, orgId, (tx) =>
    tx
      .insert(staticObjects)
      .values({ appId, orgId, path, ...facts })
      .onConflictDoUpdate({ target: [staticObjects.appId, staticObjects.path], set: facts }),
  )
}

/**
 * A channel that is gone is gone at once. What objects of channels named stays for a day, when no statement that some
 * cache may still hold is valid.
 */
async function retire(deps: StaticDeps, app: AppKey, object: Written): Promise<void> {
  const now = deps.now()
  const { path, unusedSince } = object
  if (!path.startsWith('channels/')) {
    if (unusedSince === null) return note(deps, app, { ...object, unusedSince: now })
    if (now.getTime() - unusedSince.getTime() < channelStatementLifetimeMs) return
  }
  await deps.staticParts.store.delete(`${appFolder(app.appId)}/${path}`)
  await withOrg(deps.db, app.orgId, (tx) =>
    tx.delete(staticObjects).where(and(eq(staticObjects.appId, app.appId), eq(staticObjects.path, path))),
  )
}
