import { checkOutboundUrl } from '../outbound/check-outbound-url.js'
import { requireWebhookKey } from '../webhook-receivers/require-webhook-key.js'
import { sealForReceiver } from '../webhook-receivers/seal-for-receiver.js'
import type { Context } from '../context.js'
import { acceptSigningSecret } from './signing-secret.js'

/** The columns of an address that this server may be asked to call. */
export function sealUrl(ctx: Context, webhookId: string, text: string) {
  const { href, host } = checkOutboundUrl(text, ctx.outboundPrivateHosts)
  return { host, sealedUrl: sealForReceiver(requireWebhookKey(ctx), 'app-webhook-url', webhookId, href) }
}

export const sealSecret = (ctx: Context, webhookId: string, secret: string): Buffer =>
  sealForReceiver(requireWebhookKey(ctx), 'app-webhook-secret', webhookId, acceptSigningSecret(secret))
