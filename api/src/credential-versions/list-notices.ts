import { credentialNotices, credentials, withOrg } from '@capstan/migrations'
import { desc, eq } from 'drizzle-orm'

import { type Context, requireScope } from '../context.js'

export type ListNotices = { limit: number; offset: number }

/** Credentials that expire soon, as the control process noticed; newest first. */
export async function listNotices(ctx: Context, { limit, offset }: ListNotices) {
  requireScope(ctx, 'credentials:read')
  return withOrg(ctx.db, ctx.orgId, (tx) =>
    tx
      .select({ notice: credentialNotices, name: credentials.name, appId: credentials.appId })
      .from(credentialNotices)
      .innerJoin(credentials, eq(credentials.id, credentialNotices.credentialId))
      .orderBy(desc(credentialNotices.createdAt), desc(credentialNotices.credentialId))
      .limit(limit)
      .offset(offset),
  )
}
