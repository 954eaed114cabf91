import { eq, sql } from 'drizzle-orm'
import type { Database, Transaction } from './database.js'
import {
  apiTokens,
  apps,
  builds,
  buildShares,
  deviceTokens,
  supportGrants,
  invitations,
  jobs,
  leases,
  memberships,
} from './schema/index.js'

const setting = (tx: Transaction, name: 'app.org_id' | 'app.user_id' | 'app.lookup' | 'app.view', value: string) =>
  tx.execute(sql`select set_config(${name}, ${value}, true)`)

/** The only door to an organization's rows: one transaction in which row-level security shows that organization alone. */
export function withOrg<T>(db: Database, orgId: string, work: (tx: Transaction) => Promise<T>): Promise<T> {
  return db.transaction(async (tx) => {
    await setting(tx, 'app.org_id', orgId)
    return work(tx)
  })
}

/** The door to what belongs to a person rather than to an organization: sessions, password, the list of memberships. */
export function withUser<T>(db: Database, userId: string, work: (tx: Transaction) => Promise<T>): Promise<T> {
  return db.transaction(async (tx) => {
    await setting(tx, 'app.user_id', userId)
    return work(tx)
  })
}

/**
 * Inside `withUser`: shows the organizations of that person one after the other, in the order of their ids so that two
 * such transactions cannot wait for each other. How a person's own change enters the log of each organization.
 */
export async function eachOrgOf(
  tx: Transaction,
  userId: string,
  work: (orgId: string) => Promise<void>,
): Promise<void> {
  const rows = await tx
    .select({ orgId: memberships.orgId })
    .from(memberships)
    .where(eq(memberships.userId, userId))
    .orderBy(memberships.orgId)
  for (const { orgId } of rows) {
    await setting(tx, 'app.org_id', orgId)
    await work(orgId)
  }
  await setting(tx, 'app.org_id', '')
}

/** Shows the one row whose id, token hash or e-mail address the caller already knows, where its table allows that. */
export function withLookup<T>(db: Database, value: string, work: (tx: Transaction) => Promise<T>): Promise<T> {
  return db.transaction(async (tx) => {
    await setting(tx, 'app.lookup', value)
    return work(tx)
  })
}

/**
 * The door to what devices of every organization may learn: apps, channels, deployments, ready bundles, forced devices.
 * One snapshot, nothing can be written.
 */
export function withPublished<T>(db: Database, work: (tx: Transaction) => Promise<T>): Promise<T> {
  return db.transaction(
    async (tx) => {
      await setting(tx, 'app.view', 'published')
      return work(tx)
    },
    { isolationLevel: 'repeatable read', accessMode: 'read only' },
  )
}

/** The door through which a batch of check-ins is written: devices of every organization, and nothing else. */
export function withCheckIns<T>(db: Database, work: (tx: Transaction) => Promise<T>): Promise<T> {
  return db.transaction(async (tx) => {
    await setting(tx, 'app.view', 'check-ins')
    return work(tx)
  })
}

/** The door to incidents, and to what the logs of all organizations tell of them: for operators alone. */
export function withIncidents<T>(db: Database, work: (tx: Transaction) => Promise<T>): Promise<T> {
  return db.transaction(async (tx) => {
    await setting(tx, 'app.view', 'incidents')
    return work(tx)
  })
}

const lookups = {
  app: { table: apps, key: apps.id },
  build: { table: builds, key: builds.id },
  buildShare: { table: buildShares, key: buildShares.id },
  job: { table: jobs, key: jobs.id },
  apiToken: { table: apiTokens, key: apiTokens.tokenHash },
  lease: { table: leases, key: leases.tokenHash },
  invitation: { table: invitations, key: invitations.tokenHash },
  deviceToken: { table: deviceTokens, key: deviceTokens.tokenHash },
  supportGrant: { table: supportGrants, key: supportGrants.id },
} as const

/** Inside another door: shows that one row too, for a change of both in one transaction. */
export async function alsoLookup(tx: Transaction, value: string): Promise<void> {
  await setting(tx, 'app.lookup', value)
}

/** Inside another door: opens what belongs to that person too, for a person who is made in the same transaction. */
export async function alsoUser(tx: Transaction, userId: string): Promise<void> {
  await setting(tx, 'app.user_id', userId)
}

/** Inside `withUser` or `withIncidents`: shows that organization too, for a change of both in one transaction. */
export async function alsoOrg(tx: Transaction, orgId: string): Promise<void> {
  await setting(tx, 'app.org_id', orgId)
}

/** Inside `withOrg`: shows incidents too, for one that begins with what is changed there. */
export async function alsoIncidents(tx: Transaction): Promise<void> {
  await setting(tx, 'app.view', 'incidents')
}

/** The organization that owns a row, found by what the caller knows of it (an id or a token's hash); else null. */
export function findOrgOf(db: Database, kind: keyof typeof lookups, value: string): Promise<string | null> {
  const { table, key } = lookups[kind]
  return withLookup(db, value, async (tx) => {
    const [row] = await tx.select({ orgId: table.orgId }).from(table).where(eq(key, value)).limit(1)
    return row?.orgId ?? null
  })
}
