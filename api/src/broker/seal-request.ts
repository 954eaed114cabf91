import { credentialKinds } from '@capstan/migrations'
import { z } from 'zod'

export const MAX_PAYLOAD_BYTES = 2 * 1024 * 1024

/** Secrets that are no signing keys: `sealed-values/context-of-value.ts` writes these. */
const SealedValueKind = z
  .string()
  .regex(/^(environment-secret|build-variables|git-connection):[0-9a-f-]{36}(:[A-Za-z0-9_-]{1,128})?$/)

/** `POST /seal` on the `seal` socket. Ids come from the API, which may encrypt for any credential and decrypt none. */
export const SealRequest = z.strictObject({
  ctx: z.strictObject({
    org: z.uuid(),
    app: z.uuid(),
    credential: z.uuid(),
    kind: z.enum(credentialKinds).or(SealedValueKind),
    version: z.string().regex(/^[1-9]\d{0,8}$/),
  }),
  payloadB64: z
    .base64()
    .min(4)
    .max(Math.ceil(MAX_PAYLOAD_BYTES / 3) * 4),
})
export type SealRequest = z.infer<typeof SealRequest>
