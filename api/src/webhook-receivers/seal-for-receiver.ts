import { openOwn, sealOwn } from '../auth/identity-keys.js'

/** The secret that signs checkpoints; the secret and the address of a webhook of an app. */
export type ReceiverPurpose = 'webhook-secret' | 'app-webhook-secret' | 'app-webhook-url'

/** Under a key that the API and the control process share and that no database holds; a row moved elsewhere does not open. */
export const sealForReceiver = (key: Uint8Array, purpose: ReceiverPurpose, webhookId: string, value: string): Buffer =>
  sealOwn(key, purpose, webhookId, Buffer.from(value))

export const openForReceiver = (
  key: Uint8Array,
  purpose: ReceiverPurpose,
  webhookId: string,
  sealed: Uint8Array,
): Buffer => openOwn(key, purpose, webhookId, sealed)
