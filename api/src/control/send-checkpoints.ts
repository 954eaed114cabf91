import { createHmac } from 'node:crypto'
import { auditCheckpoints, checkpointWebhooks, withOrg } from '@capstan/migrations'
import { asc, eq, gt, lte } from 'drizzle-orm'
import { postToReceiver } from '../webhook-receivers/post-to-receiver.js'
import { openForReceiver } from '../webhook-receivers/seal-for-receiver.js'
import type { ControlDeps } from './control-deps.js'

type Needed = Pick<ControlDeps, 'db' | 'outbound' | 'now' | 'log'>
type Webhook = typeof checkpointWebhooks.$inferSelect

const MOST_AT_ONCE = 100
const SIDE_BY_SIDE = 10
/** Of a webhook that has taken all there is; whoever has waited the longest comes first. */
const LOOK_AGAIN_MS = 30_000
const FIRST_WAIT_MS = 30_000
const LONGEST_WAIT_MS = 6 * 60 * 60_000

/**
 * Sends each webhook the next checkpoint that it has not taken. What fails comes again later, at most every six hours,
 * and holds up nobody else. Nothing of it enters the audit chain, which would grow by it without end.
 */
export async function sendCheckpoints(deps: Needed, webhookKey: Uint8Array | null): Promise<number> {
  if (webhookKey === null) return 0
  const due = await deps.db
    .select()
    .from(checkpointWebhooks)
    .where(lte(checkpointWebhooks.nextAttemptAt, deps.now()))
    .orderBy(asc(checkpointWebhooks.nextAttemptAt))
    .limit(MOST_AT_ONCE)
  let sent = 0
  for (let from = 0; from < due.length; from += SIDE_BY_SIDE) {
    const some = due.slice(from, from + SIDE_BY_SIDE)
    const outcomes = await Promise.all(some.map((webhook) => sendNext(deps, webhookKey, webhook)))
    sent += outcomes.filter(Boolean).length
  }
  return sent
}

async function sendNext(deps: Needed, key: Uint8Array, webhook: Webhook): Promise<boolean> {
  const { id, orgId, deliveredSize } = webhook
  const [checkpoint] = await withOrg(deps.db, orgId, (tx) =>
    tx
      .select({ size: auditCheckpoints.size, note: auditCheckpoints.note })
      .from(auditCheckpoints)
      .where(gt(auditCheckpoints.size, deliveredSize))
      .orderBy(asc(auditCheckpoints.size))
      .limit(1),
  )
  if (!checkpoint) {
    await note(deps, webhook, { nextAttemptAt: new Date(deps.now().getTime() + LOOK_AGAIN_MS) })
    return false
  }
  const body = JSON.stringify({ event: 'audit.checkpoint', organizationId: orgId, ...checkpoint })
  const { size } = checkpoint
  const { failure } = await postToReceiver(deps, id, () => compose(key, webhook, { body, size, now: deps.now() }))
  const now = deps.now()
  const failures = webhook.failures + 1
  const waitMs = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(failures - 1, 20))
  const outcome =
    failure === null
      ? { deliveredSize: size, deliveredAt: now, failures: 0, lastFailure: null, nextAttemptAt: now }
      : { failures, lastFailure: failure, nextAttemptAt: new Date(now.getTime() + waitMs) }
  await note(deps, webhook, outcome)
  return failure === null
}

async function note({ db }: Needed, { id, orgId }: Webhook, outcome: Partial<Webhook>): Promise<void> {
  await withOrg(db, orgId, (tx) => tx.update(checkpointWebhooks).set(outcome).where(eq(checkpointWebhooks.id, id)))
}

function compose(key: Uint8Array, webhook: Webhook, { body, size, now }: { body: string; size: number; now: Date }) {
  const secret = openForReceiver(key, 'webhook-secret', webhook.id, webhook.sealedSecret)
  const timestamp = String(Math.floor(now.getTime() / 1000))
  const signature = createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex')
  const headers = {
    'x-capstan-event': 'audit.checkpoint',
    'x-capstan-delivery': `${webhook.id}.${size}`,
    'x-capstan-timestamp': timestamp,
    'x-capstan-signature': `v1=${signature}`,
  }
  return { url: webhook.url, headers, body }
}
