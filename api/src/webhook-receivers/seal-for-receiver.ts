import { openOwn, sealOwn } from '../auth/identity-keys.js'

/** What is sealed: the secret that signs checkpoints. */
export type ReceiverPurpose = 'webhook-secret'

/** Under a key that the API and the control process share and that no database holds; a row moved elsewhere does not open. */
export const sealForReceiver = (key: Uint8Array, purpose: ReceiverPurpose, webhookId: string, value: string): Buffer =>
  sealOwn(key, purpose, webhookId, Buffer.from(value))

export const openForReceiver = (
  key: Uint8Array,
  purpose: ReceiverPurpose,
  webhookId: string,
  sealed: Uint8Array,
): Buffer => openOwn(key, purpose, webhookId, sealed)
