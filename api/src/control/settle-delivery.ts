import { appWebhookDeliveries, appWebhooks, newId, type Transaction } from '@capstan/migrations'
import { and, eq, sql } from 'drizzle-orm'
import { endDeliveries } from '../app-webhooks/end-deliveries.js'
import { recordAudit } from '../audit/record-audit.js'
import { webhookLetter } from '../mails/letters.js'
import { mailToRoles } from '../mails/mail-to.js'
import type { Outcome } from '../webhook-receivers/post-to-receiver.js'
import type { ControlDeps } from './control-deps.js'

type Needed = Pick<ControlDeps, 'now' | 'log' | 'publicUrl' | 'mailKey'>
type Webhook = typeof appWebhooks.$inferSelect

const [SECOND_MS, MINUTE_MS, HOUR_MS] = [1_000, 60_000, 60 * 60_000]
/** After each attempt that failed; after the last one there is no other. About three days in all. */
const WAITS_MS = [
  30 * SECOND_MS,
  2 * MINUTE_MS,
  8 * MINUTE_MS,
  30 * MINUTE_MS,
  2 * HOUR_MS,
  6 * HOUR_MS,
  12 * HOUR_MS,
  24 * HOUR_MS,
  24 * HOUR_MS,
]
const GONE = 410
const EXHAUSTED = 'It took nothing in ten attempts over three days.'

type Tried = { webhook: Webhook; delivery: typeof appWebhookDeliveries.$inferSelect; outcome: Outcome }

/** What came of it counts only while nobody else has tried since. */
export async function settleDelivery(
  tx: Transaction,
  deps: Needed,
  { webhook, delivery, outcome }: Tried,
): Promise<void> {
  const { status, failure } = outcome
  const now = deps.now()
  const wait = WAITS_MS[delivery.attempts - 1]
  const next =
    failure === null
      ? ({ status: 'delivered', deliveredAt: now } as const)
      : wait === undefined
        ? ({ status: 'failed' } as const)
        : { nextAttemptAt: new Date(now.getTime() + wait) }
  const [settled] = await tx
    .update(appWebhookDeliveries)
    .set({ ...next, lastStatus: status, lastFailure: failure })
    .where(
      and(
        eq(appWebhookDeliveries.id, delivery.id),
        eq(appWebhookDeliveries.attempts, delivery.attempts),
        eq(appWebhookDeliveries.status, 'pending'),
      ),
    )
    .returning({ id: appWebhookDeliveries.id })
  if (!settled) return
  const ofWebhook = eq(appWebhooks.id, webhook.id)
  if (failure === null) {
    await tx.update(appWebhooks).set({ failingSince: null, lastDeliveredAt: now }).where(ofWebhook)
    return
  }
  const failingSince = sql`coalesce(${appWebhooks.failingSince}, ${now.toISOString()}::timestamptz)`
  const [failing] = await tx.update(appWebhooks).set({ failingSince }).where(ofWebhook).returning()
  const tookNothing = (failing?.lastDeliveredAt ?? new Date(0)) < delivery.createdAt
  if (failing?.enabled && (status === GONE || (wait === undefined && tookNothing))) {
    await disable(tx, deps, failing, status === GONE ? 'It answered that it is gone (410).' : EXHAUSTED)
  }
}

async function disable(tx: Transaction, deps: Needed, webhook: Webhook, reason: string): Promise<void> {
  const { id, orgId, appId, name, host } = webhook
  await tx
    .update(appWebhooks)
    .set({ enabled: false, disabledReason: reason, updatedAt: deps.now() })
    .where(eq(appWebhooks.id, id))
  await endDeliveries(tx, id)
  const words = webhookLetter(deps.publicUrl, { webhook: name, host, reason })
  await mailToRoles(tx, deps, { ...words, kind: 'app-webhook.disabled', orgId, roles: ['owner', 'admin'] })
  const by = { orgId, actor: { type: 'system', id: 'control' } as const, requestId: newId() }
  await recordAudit(tx, by, {
    action: 'app-webhook.disabled',
    target: { app: appId, appWebhook: id },
    data: { reason },
    personal: { host },
  })
  deps.log.warn({ orgId, appId, webhook: id, reason }, 'a webhook was disabled')
}
