import { credentials, credentialVersions, sealedValues, type Transaction, withOrg } from '@capstan/migrations'
import { and, asc, eq, gt, isNotNull, lt, ne, or, sql, type SQL } from 'drizzle-orm'

import { recordAudit } from '../audit/record-audit.js'
import { contextOfValue } from '../sealed-values/context-of-value.js'
import { type EnvelopeContext, EnvelopeError } from '../vault/envelope-context.js'
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

const tables = { credential_versions: credentialVersions, sealed_values: sealedValues } as const
type TableName = keyof typeof tables
/** A row under an older key, with the context in which it opens. */
type StaleRow = { table: TableName; id: string; kekVersion: number; envelope: Uint8Array; ctx: EnvelopeContext }

function isStale(table: (typeof tables)[TableName], org: string, keyVersion: number): SQL | undefined {
  return and(isNotNull(table.envelope), or(ne(table.kekId, `org:${org}`), lt(table.kekVersion, keyVersion)))
}

async function countStale({ db }: RewrapDeps, org: string, keyVersion: number): Promise<number> {
  return withOrg(db, org, async (tx) => {
    let count = 0
    for (const table of Object.values(tables)) {
      count += await tx.$count(table, and(eq(table.orgId, org), isStale(table, org, keyVersion)))
    }
    return count
  })
}

async function moveRows(deps: RewrapDeps, { org, cursor, limit }: Options, keyVersion: number) {
  return withOrg(deps.db, org, async (tx) => {
    const found = await findStale(tx, { org, cursor, limit, keyVersion })
    const unreadable: string[] = []
    const renewed: Record<TableName, SQL[]> = { credential_versions: [], sealed_values: [] }
    for (const { table, id, kekVersion, envelope, ctx } of found) {
      const moved = await rewrapEnvelope(deps.keys, ctx, envelope).catch(ignoreUnreadable)
      if (moved === null) unreadable.push(id)
      else
        renewed[table].push(
          sql`(${id}::uuid, ${kekVersion}::int, ${moved.envelope}::bytea, ${moved.kekId}::text, ${moved.kekVersion}::int)`,
        )
    }
    let rows = 0
    for (const [table, values] of Object.entries(renewed)) rows += await store(tx, table, values)
    return { rows, unreadable, cursor: found.at(-1)?.id ?? cursor, more: found.length === limit }
  })
}

/** The ids of both tables are of one kind, in the order in which the rows were made: one cursor serves both. */
async function findStale(
  tx: Transaction,
  { org, cursor, limit, keyVersion }: Omit<Options, 'requestId'> & { keyVersion: number },
): Promise<StaleRow[]> {
  const due = (table: (typeof tables)[TableName]) =>
    and(isStale(table, org, keyVersion), cursor === null ? undefined : gt(table.id, cursor))
  const versions = await tx
    .select({ version: credentialVersions, app: credentials.appId, kind: credentials.kind })
    .from(credentialVersions)
    .innerJoin(credentials, eq(credentials.id, credentialVersions.credentialId))
    .where(due(credentialVersions))
    .orderBy(asc(credentialVersions.id))
    .limit(limit)
  const values = await tx
    .select()
    .from(sealedValues)
    .where(due(sealedValues))
    .orderBy(asc(sealedValues.id))
    .limit(limit)
  const rows: StaleRow[] = [
    ...versions.map(({ version, app, kind }) => ({
      table: 'credential_versions' as const,
      id: version.id,
      kekVersion: version.kekVersion,
      envelope: version.envelope ?? Buffer.alloc(0),
      ctx: { org, app, credential: version.credentialId, kind, version: String(version.version) },
    })),
    ...values.map((value) => ({
      table: 'sealed_values' as const,
      ...value,
      ctx: contextOfValue({ ...value, orgId: org }),
    })),
  ]
  return rows.toSorted((one, other) => (one.id < other.id ? -1 : 1)).slice(0, limit)
}

async function store(tx: Transaction, table: string, values: SQL[]): Promise<number> {
  if (values.length === 0) return 0
  const changed = await tx.execute(sql`
    update ${sql.identifier(table)} t
    set envelope = r.envelope, kek_id = r.kek_id, kek_version = r.kek_version
    from (values ${sql.join(values, sql`, `)}) as r (id, was, envelope, kek_id, kek_version)
    where t.id = r.id and t.kek_version = r.was and t.envelope is not null
    returning t.id`)
  return changed.length
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
