import { deletionCertificates, withOrg } from '@capstan/migrations'
import { desc, eq } from 'drizzle-orm'

import { type Context, requireScope } from '../context.js'

export type ListDeletionCertificates = { subjectId?: string | undefined; limit: number; offset: number }

/** What was destroyed, newest first. */
export async function listDeletionCertificates(ctx: Context, { subjectId, limit, offset }: ListDeletionCertificates) {
  requireScope(ctx, 'credentials:read')
  return withOrg(ctx.db, ctx.orgId, (tx) =>
    tx
      .select({
        id: deletionCertificates.id,
        subjectKind: deletionCertificates.subjectKind,
        subjectId: deletionCertificates.subjectId,
        createdAt: deletionCertificates.createdAt,
      })
      .from(deletionCertificates)
      .where(subjectId === undefined ? undefined : eq(deletionCertificates.subjectId, subjectId))
      .orderBy(desc(deletionCertificates.id))
      .limit(limit)
      .offset(offset),
  )
}
