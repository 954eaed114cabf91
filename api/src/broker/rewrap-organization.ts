import { credentials, credentialVersions, withOrg } from '@capstan/migrations'
import { and, asc, eq, gt, isNotNull, lt, ne, or, sql, type SQL } from 'drizzle-orm'

import { recordAudit } from '../audit/record-audit.js'
import { EnvelopeError } from '../vault/envelope-context.js'
import { rewrapEnvelope } from '../vault/envelope.js'
import type { BrokerDeps } from './broker-deps.js'

/** A version sealed before a rotation may reach its row this much later: its key must still be there then. */
export const SEAL_GRACE_MS = 15 * 60_000

export type RewrapStep = {
  keyVersion: number
  /** Rows and key-store records that this step moved to the newest key. */
  rows: number
  records: number
  /** Rows that do not open, by id: they stay as they are and keep the old keys alive. */
  unreadable: string[]
  /** Where the next step goes on, while there is `more` to look at. */
  cursor: string | null
  more: boolean
  /** What is left under older keys, counted in the database (after the first and the last step) and the key store. */
  remaining: { rows: number | null; records: number }
  /** Versions of the organization key that were removed, as nothing needs them any more. */
  retired: number[]
}
type RewrapDeps = Pick<BrokerDeps, 'db' | 'keys' | 'now'>
type Options = { org: string; cursor: string | null; limit: number; requestId: string }

/**
 * One batch of moving an organization to its newest key. Each batch is one transaction that changes only rows still as
 * they were read, so it may be killed, repeated and run beside deletions.
 */
export async function rewrapOrganization(deps: RewrapDeps, options: Options): Promise<RewrapStep> {
  const { org, limit } = options
  const keyVersion = await deps.keys.newestVersion(org)
  const moved = await deps.keys.rewrapEntries(org, limit)
  const batch = await moveRows(deps, options, keyVersion)
  const more = batch.more || moved.left > 0
  // To count after each batch what is left would cost the square of it.
  const rows = more && options.cursor !== null ? null : await countStale(deps, org, keyVersion)
  const isDone = rows === 0 && moved.left === 0
  const retired = isDone ? await retire(deps, options, keyVersion) : []
  return {
    keyVersion,
    records: moved.moved,
    ...batch,
    more,
    remaining: { rows, records: moved.left },
    retired,
  }
}

function isStale(org: string, keyVersion: number): SQL | undefined {
  const other = or(ne(credentialVersions.kekId, `org:${org}`), lt(credentialVersions.kekVersion, keyVersion))
  return and(isNotNull(credentialVersions.envelope), other)
}

async function countStale({ db }: RewrapDeps, org: string, keyVersion: number): Promise<number> {
  return withOrg(db, org, (tx) =>
    tx.$count(credentialVersions, and(eq(credentialVersions.orgId, org), isStale(org, keyVersion))),
  )
}

async function moveRows(deps: RewrapDeps, { org, cursor, limit }: Options, keyVersion: number) {
  return withOrg(deps.db, org, async (tx) => {
    const found = await tx
      .select({ version: credentialVersions, app: credentials.appId, kind: credentials.kind })
      .from(credentialVersions)
      .innerJoin(credentials, eq(credentials.id, credentialVersions.credentialId))
      .where(and(isStale(org, keyVersion), cursor === null ? undefined : gt(credentialVersions.id, cursor)))
      .orderBy(asc(credentialVersions.id))
      .limit(limit)
    const unreadable: string[] = []
    const renewed: SQL[] = []
    for (const { version, app, kind } of found) {
      const ctx = { org, app, credential: version.credentialId, kind, version: String(version.version) }
      const moved = await rewrapEnvelope(deps.keys, ctx, version.envelope ?? Buffer.alloc(0)).catch(ignoreUnreadable)
      if (moved === null) unreadable.push(version.id)
      else
        renewed.push(
          sql`(${version.id}::uuid, ${version.kekVersion}::int, ${moved.envelope}::bytea, ${moved.kekId}::text, ${moved.kekVersion}::int)`,
        )
    }
    const changed =
      renewed.length === 0
        ? []
        : await tx.execute(sql`
            update credential_versions v
            set envelope = r.envelope, kek_id = r.kek_id, kek_version = r.kek_version
            from (values ${sql.join(renewed, sql`, `)}) as r (id, was, envelope, kek_id, kek_version)
            where v.id = r.id and v.kek_version = r.was and v.envelope is not null
            returning v.id`)
    return {
      rows: changed.length,
      unreadable,
      cursor: found.at(-1)?.version.id ?? cursor,
      more: found.length === limit,
    }
  })
}

async function retire(deps: RewrapDeps, { org, requestId }: Options, keyVersion: number): Promise<number[]> {
  const facts = await deps.keys.describe(org)
  const newest = facts?.keys.at(-1)
  if (newest === undefined || deps.now().getTime() - newest.createdAt < SEAL_GRACE_MS) return []
  const retired = await deps.keys.retireOlder(org)
  if (retired.length > 0) {
    await withOrg(deps.db, org, (tx) =>
      recordAudit(
        tx,
        { orgId: org, actor: { type: 'system', id: 'broker' }, requestId },
        {
          action: 'organization_key.retired',
          target: { organization: org },
          data: { retired, minKekVersion: keyVersion },
        },
      ),
    )
  }
  return retired
}

function ignoreUnreadable(error: unknown): null {
  if (error instanceof EnvelopeError) return null
  throw error
}
