import { staticApps, withOrg } from '@capstan/migrations'
import { and, eq, lte, sql } from 'drizzle-orm'
import type { ControlDeps } from '../control/control-deps.js'
import { type DueApp, findDueApps } from './find-due-apps.js'
import { type AppKey, publishApp, type StaticDeps } from './publish-app.js'
import { appFolder } from './static-paths.js'

/** So few that what changes meanwhile is soon looked for again. */
const MOST_A_PASS = 50
const PASS_MS = 5_000
const AT_ONCE = 4
const CLAIM_MS = 30 * 60_000
const RETRY_MS = 15_000

type Deps = StaticDeps & Pick<ControlDeps, 'log'>

/** Writes the objects of every app that changed, or whose statements are in the second half of their life. */
export async function publishStaticApps(deps: Deps): Promise<number> {
  const startedAt = deps.now().getTime()
  const due = await findDueApps(deps.db, deps.now(), MOST_A_PASS)
  const left = [...due]
  const work = async () => {
    while (deps.now().getTime() - startedAt < PASS_MS) {
      const app = left.shift()
      if (app === undefined) return
      await bringUpToDate(deps, app)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  return due.length - left.length
}

async function bringUpToDate(deps: Deps, app: DueApp): Promise<void> {
  const claimedUntil = await claim(deps, app)
  if (claimedUntil === null) return
  try {
    if (!app.isWanted) return await remove(deps, app)
    const shown = await publishApp(deps, app)
    if (shown === null) return void (await settle(deps, app, claimedUntil, { claimedUntil: deps.now() }))
    const isOurs = await settle(deps, app, claimedUntil, { ...shown, claimedUntil: null })
    if (!isOurs) await disown(deps, app)
  } catch (error) {
    deps.log.error({ err: error, appId: app.appId }, 'the static objects of an app could not be written')
    await settle(deps, app, claimedUntil, { claimedUntil: new Date(deps.now().getTime() + RETRY_MS) })
  }
}

/** One of several control processes writes an app at a time; one that dies leaves it to the next. */
async function claim({ db, now }: Deps, { appId, orgId }: AppKey): Promise<Date | null> {
  const at = now()
  const claimedUntil = new Date(at.getTime() + CLAIM_MS)
  const isFree = sql`${staticApps.claimedUntil} is null or ${lte(staticApps.claimedUntil, at)}`
  const rows = await withOrg(db, orgId, (tx) =>
    tx
      .insert(staticApps)
      .values({ appId, orgId, claimedUntil })
      .onConflictDoUpdate({ target: staticApps.appId, set: { claimedUntil }, setWhere: isFree })
      .returning({ appId: staticApps.appId }),
  )
  return rows.length > 0 ? claimedUntil : null
}

type Settled = Partial<Omit<typeof staticApps.$inferInsert, 'appId' | 'orgId'>>

async function settle({ db }: Deps, { appId, orgId }: AppKey, claimedUntil: Date, set: Settled): Promise<boolean> {
  const rows = await withOrg(db, orgId, (tx) =>
    tx
      .update(staticApps)
      .set(set)
      .where(and(eq(staticApps.appId, appId), eq(staticApps.claimedUntil, claimedUntil)))
      .returning({ appId: staticApps.appId }),
  )
  return rows.length > 0
}

/** The claim ran out while it was used: who has it now writes everything anew, or removed it and does so again. */
async function disown({ db }: Deps, { appId, orgId }: AppKey): Promise<void> {
  const again = { changedIn: null, renewAt: null }
  await withOrg(db, orgId, (tx) =>
    tx
      .insert(staticApps)
      .values({ appId, orgId, ...again })
      .onConflictDoUpdate({ target: staticApps.appId, set: again }),
  )
}

/** The row goes with the objects, unless something was changed meanwhile: the app may be wanted again. */
async function remove({ db, staticParts }: Deps, { appId, orgId, wantedIn }: DueApp): Promise<void> {
  await staticParts.store.deleteFolder(appFolder(appId))
  await withOrg(db, orgId, async (tx) => {
    const [gone] = await tx
      .delete(staticApps)
      .where(eq(staticApps.appId, appId))
      .returning({ wantedIn: staticApps.wantedIn })
    if (gone && gone.wantedIn !== wantedIn)
      await tx.insert(staticApps).values({ appId, orgId, wantedIn: gone.wantedIn })
  })
}
