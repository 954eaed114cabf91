import { auditEvents, provisioningProfiles, type Transaction, withOrg } from '@capstan/migrations'
import { and, asc, desc, eq, sql } from 'drizzle-orm'
import { z } from 'zod'

import { type Context, requireScope } from '../context.js'
import { type CredentialPath, findUnfinishedBuilds, requireCredentialRow, type UnfinishedBuild } from './queries.js'

type LastUse = { usedAt: string; buildId: string; version: number; attempt: number; worker: string }
export type Usage = {
  unfinishedBuilds: UnfinishedBuild[]
  provisioningProfiles: { id: string; name: string; expiresAt: Date }[]
  lastUse: LastUse | null
}

const UsedEvent = z.object({
  ts: z.string(),
  target: z.object({ build: z.string() }),
  data: z.object({ version: z.number(), attempt: z.number(), worker: z.string() }),
})

/** What would miss the credential if it were gone. */
export async function getUsage(ctx: Context, path: CredentialPath): Promise<Usage> {
  requireScope(ctx, 'credentials:read')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const { id } = await requireCredentialRow(tx, path)
    return {
      unfinishedBuilds: await findUnfinishedBuilds(tx, id),
      provisioningProfiles: await tx
        .select({
          id: provisioningProfiles.id,
          name: provisioningProfiles.name,
          expiresAt: provisioningProfiles.expiresAt,
        })
        .from(provisioningProfiles)
        .where(eq(provisioningProfiles.credentialId, id))
        .orderBy(asc(provisioningProfiles.name)),
      lastUse: await findLastUse(tx, id),
    }
  })
}

/** From the audit chain: what the broker opened is the broker's to know, and its event says as much. */
async function findLastUse(tx: Transaction, credentialId: string): Promise<LastUse | null> {
  const [row] = await tx
    .select({ event: auditEvents.event })
    .from(auditEvents)
    .where(
      and(
        eq(auditEvents.action, 'credential.used'),
        sql`${auditEvents.event}::jsonb #>> '{target,credential}' = ${credentialId}`,
      ),
    )
    .orderBy(desc(auditEvents.seq))
    .limit(1)
  if (row === undefined) return null
  const { ts, target, data } = UsedEvent.parse(JSON.parse(row.event))
  return { usedAt: ts, buildId: target.build, ...data }
}
