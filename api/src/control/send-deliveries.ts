import { appWebhookDeliveries, appWebhooks, organizations, type Transaction, withOrg } from '@capstan/migrations'
import { and, eq, exists, isNotNull, lte, not, sql } from 'drizzle-orm'
import { signatureHeaders } from '../app-webhooks/signing-secret.js'
import { writeMessage } from '../app-webhooks/write-message.js'
import { postToReceiver } from '../webhook-receivers/post-to-receiver.js'
import { openForReceiver } from '../webhook-receivers/seal-for-receiver.js'
import type { ControlDeps } from './control-deps.js'
import { settleDelivery } from './settle-delivery.js'

type Needed = Pick<ControlDeps, 'db' | 'outbound' | 'now' | 'log' | 'publicUrl' | 'mailKey'>
type Webhook = typeof appWebhooks.$inferSelect
type Delivery = typeof appWebhookDeliveries.$inferSelect
type Due = { id: string; orgId: string }

/** So long nobody else tries what is under way; an attempt has an end long before that. */
const CLAIM_MS = 60_000

/**
 * How much may be under way at once, in all and for one organization: what does not answer holds up nobody else, and
 * webhooks that are failing wait for places of their own.
 */
const lanes = {
  healthy: { places: 24, perOrganization: 2 },
  failing: { places: 8, perOrganization: 1 },
} as const
type Lane = keyof typeof lanes

export type DeliverySender = {
  /** Begins what is due as far as there are places, and answers how many. */
  pass: () => Promise<number>
  /** Settles when all that was begun has ended. */
  drain: () => Promise<void>
}

/** Sends what `note_webhook_event()` left. `onSettled` is told when a place is free again. */
export function createDeliverySender(
  deps: Needed,
  webhookKey: Uint8Array | null,
  onSettled: () => void = () => undefined,
): DeliverySender {
  const underWay = new Map<Promise<void>, { orgId: string; lane: Lane }>()
  const countOf = (lane: Lane, orgId?: string) =>
    [...underWay.values()].filter((one) => one.lane === lane && (orgId === undefined || one.orgId === orgId)).length

  const begin = (key: Uint8Array, lane: Lane, due: Due) => {
    const sent = sendOne(deps, key, due)
      .catch((error: unknown) => deps.log.error({ err: error, delivery: due.id }, 'a delivery could not be tried'))
      .finally(() => {
        underWay.delete(sent)
        onSettled()
      })
    underWay.set(sent, { orgId: due.orgId, lane })
  }

  const fill = async (key: Uint8Array, lane: Lane): Promise<number> => {
    const { places, perOrganization } = lanes[lane]
    if (countOf(lane) >= places) return 0
    const full = [...new Set([...underWay.values()].map(({ orgId }) => orgId))].filter(
      (orgId) => countOf(lane, orgId) >= perOrganization,
    )
    let begun = 0
    for (const due of await findDue(deps, lane, full)) {
      if (countOf(lane) >= places) break
      if (countOf(lane, due.orgId) >= perOrganization) continue
      begin(key, lane, due)
      begun += 1
    }
    return begun
  }

  return {
    async pass() {
      if (webhookKey === null) return 0
      return (await fill(webhookKey, 'healthy')) + (await fill(webhookKey, 'failing'))
    },
    async drain() {
      while (underWay.size > 0) await Promise.all(underWay.keys())
    },
  }
}

/** Organizations in turn, each with the oldest of its own. */
async function findDue({ db }: Needed, lane: Lane, full: readonly string[]): Promise<Due[]> {
  const { places, perOrganization } = lanes[lane]
  const isFailing = lane === 'failing'
  const rows = await db.execute<Due>(sql`
    select id, org_id as "orgId" from (
      select d.id, d.org_id, d.next_attempt_at,
        row_number() over (partition by d.org_id order by d.next_attempt_at, d.id) as turn
      from app_webhook_deliveries d join app_webhooks w on w.id = d.webhook_id
      where d.status = 'pending' and d.next_attempt_at <= now() and w.enabled
        and (w.failing_since is not null) = ${isFailing}
        and not exists (select 1 from organizations o where o.id = d.org_id and o.terminating_at is not null)
        and not (d.org_id::text = any (array(select jsonb_array_elements_text(${JSON.stringify(full)}::jsonb))))
    ) as due
    where turn <= ${perOrganization} order by turn, next_attempt_at limit ${places}`)
  return [...rows]
}

async function sendOne(deps: Needed, key: Uint8Array, due: Due): Promise<void> {
  const claimed = await withOrg(deps.db, due.orgId, (tx) => claim(tx, deps.now(), due.id))
  if (!claimed) return
  const { webhook, delivery } = claimed
  const outcome = await postToReceiver(deps, webhook.id, () => compose(key, claimed, deps.now()))
  await withOrg(deps.db, due.orgId, (tx) => settleDelivery(tx, deps, { webhook, delivery, outcome }))
}

/** Of two processes one gets it. Whoever dies on the way leaves it to be tried again, with the same id. */
async function claim(tx: Transaction, now: Date, id: string): Promise<{ webhook: Webhook; delivery: Delivery } | null> {
  const live = tx
    .select({ id: appWebhooks.id })
    .from(appWebhooks)
    .where(and(eq(appWebhooks.id, appWebhookDeliveries.webhookId), eq(appWebhooks.enabled, true)))
  const isEnding = and(eq(organizations.id, appWebhookDeliveries.orgId), isNotNull(organizations.terminatingAt))
  const ending = tx.select({ id: organizations.id }).from(organizations).where(isEnding)
  const [delivery] = await tx
    .update(appWebhookDeliveries)
    .set({
      attempts: sql`${appWebhookDeliveries.attempts} + 1`,
      lastAttemptAt: now,
      nextAttemptAt: new Date(now.getTime() + CLAIM_MS),
    })
    .where(
      and(
        eq(appWebhookDeliveries.id, id),
        eq(appWebhookDeliveries.status, 'pending'),
        lte(appWebhookDeliveries.nextAttemptAt, sql`now()`),
        exists(live),
        not(exists(ending)),
      ),
    )
    .returning()
  if (!delivery) return null
  const [webhook] = await tx.select().from(appWebhooks).where(eq(appWebhooks.id, delivery.webhookId))
  return webhook ? { webhook, delivery } : null
}

function compose(key: Uint8Array, { webhook, delivery }: { webhook: Webhook; delivery: Delivery }, now: Date) {
  const { id, sealedUrl, sealedSecret, sealedOldSecret, oldSecretUntil, format } = webhook
  const isOverlapping = oldSecretUntil !== null && oldSecretUntil > now
  const sealed = [sealedSecret, ...(sealedOldSecret && isOverlapping ? [sealedOldSecret] : [])]
  const secrets = sealed.map((secret) => openForReceiver(key, 'app-webhook-secret', id, secret).toString())
  const body = writeMessage(format, delivery)
  const signed = { id: delivery.id, timestamp: Math.floor(now.getTime() / 1000), body }
  return {
    url: openForReceiver(key, 'app-webhook-url', id, sealedUrl).toString(),
    headers: signatureHeaders(secrets, signed),
    body,
  }
}
