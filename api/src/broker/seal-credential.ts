import { sealEnvelope } from '../vault/envelope.js'
import type { KeyManager } from '../vault/key-manager.js'
import { Secret } from '../vault/secret.js'
import { MAX_PAYLOAD_BYTES, type SealRequest } from './seal-request.js'

/** Encrypts a payload for one credential version; null when it is too large, `EnvelopeError` when its key is destroyed. */
export async function sealCredential(keys: KeyManager, { ctx, payloadB64 }: SealRequest) {
  using payload = new Secret(Buffer.from(payloadB64, 'base64'))
  if (payload.use((bytes) => bytes.length > MAX_PAYLOAD_BYTES)) return null
  const { envelope, kekId, kekVersion } = await sealEnvelope(keys, ctx, payload)
  return { envelopeB64: envelope.toString('base64'), kekId, kekVersion }
}
