import type { Context } from '../context.js'
import { Problem } from '../problems.js'

/** The key that seals what receivers are told; refused where the operator set none. */
export function requireWebhookKey(ctx: Pick<Context, 'webhookKey'>): Uint8Array {
  if (ctx.webhookKey !== null) return ctx.webhookKey
  throw new Problem('webhooks-unavailable', 'This server sends no webhooks. Its operator can set WEBHOOK_KEY_FILE.')
}
