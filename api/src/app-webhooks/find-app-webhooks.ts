import {
  appWebhookDeliveries,
  appWebhooks,
  type deliveryStatuses,
  type Transaction,
  withOrg,
} from '@capstan/migrations'
import { and, desc, eq } from 'drizzle-orm'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'

type Page = { limit: number; offset: number }

export async function listAppWebhooks(ctx: Context, appId: string, { limit, offset }: Page) {
  requireScope(ctx, 'webhooks:read')
  return withOrg(ctx.db, ctx.orgId, (tx) =>
    tx
      .select()
      .from(appWebhooks)
      .where(eq(appWebhooks.appId, appId))
      .orderBy(desc(appWebhooks.id))
      .limit(limit)
      .offset(offset),
  )
}

export async function getAppWebhook(ctx: Context, appId: string, webhookId: string) {
  requireScope(ctx, 'webhooks:read')
  return withOrg(ctx.db, ctx.orgId, (tx) => findAppWebhook(tx, appId, webhookId))
}

export type ListDeliveries = Page & {
  appId: string
  webhookId: string
  status?: (typeof deliveryStatuses)[number] | undefined
}

/** Newest first; they are kept for 30 days. */
export async function listDeliveries(ctx: Context, { appId, webhookId, status, limit, offset }: ListDeliveries) {
  requireScope(ctx, 'webhooks:read')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    await findAppWebhook(tx, appId, webhookId)
    return tx
      .select()
      .from(appWebhookDeliveries)
      .where(
        and(
          eq(appWebhookDeliveries.webhookId, webhookId),
          status ? eq(appWebhookDeliveries.status, status) : undefined,
        ),
      )
      .orderBy(desc(appWebhookDeliveries.createdAt), desc(appWebhookDeliveries.id))
      .limit(limit)
      .offset(offset)
  })
}

export async function findAppWebhook(tx: Transaction, appId: string, webhookId: string) {
  const [row] = await tx
    .select()
    .from(appWebhooks)
    .where(and(eq(appWebhooks.appId, appId), eq(appWebhooks.id, webhookId)))
  if (!row) throw new Problem('not-found', 'This app has no such webhook.')
  return row
}
