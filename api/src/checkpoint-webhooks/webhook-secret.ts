import { randomBytes } from 'node:crypto'
import { openOwn, sealOwn } from '../auth/identity-keys.js'

const PURPOSE = 'webhook-secret'
const SECRET_BYTES = 32

export const createWebhookSecret = (): string => `whsec_${randomBytes(SECRET_BYTES).toString('base64url')}`

/** Under a key that the API and the control process share and that no database holds; a row moved elsewhere does not open. */
export const sealWebhookSecret = (key: Uint8Array, webhookId: string, secret: string): Buffer =>
  sealOwn(key, PURPOSE, webhookId, Buffer.from(secret))

export const openWebhookSecret = (key: Uint8Array, webhookId: string, sealed: Uint8Array): Buffer =>
  openOwn(key, PURPOSE, webhookId, sealed)
