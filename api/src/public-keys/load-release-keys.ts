import { appPublicKeys, withOrg } from '@capstan/migrations'
import { importReleaseKey, type TrustedKey } from '@capstan/sdk/release'
import { and, eq, isNull } from 'drizzle-orm'
import type { Context } from '../context.js'

/** The customer's keys that may sign this app's bundles now. */
export async function loadReleaseKeys(ctx: Pick<Context, 'db' | 'orgId'>, appId: string): Promise<TrustedKey[]> {
  const rows = await withOrg(ctx.db, ctx.orgId, (tx) =>
    tx
      .select({ pem: appPublicKeys.pem })
      .from(appPublicKeys)
      .where(and(eq(appPublicKeys.appId, appId), isNull(appPublicKeys.revokedAt))),
  )
  return Promise.all(rows.map((row) => importReleaseKey(row.pem)))
}
