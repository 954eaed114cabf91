import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto'
import { type ChannelStatement, type Envelope, payloadTypes, preAuthenticationEncoding } from '@capstan/sdk/release'

export type StatementKey = { key: KeyObject; keyId: string }

export function openStatementKey(pem: string): StatementKey {
  const spki = createPublicKey(pem).export({ type: 'spki', format: 'der' })
  return { key: createPrivateKey(pem), keyId: createHash('sha256').update(spki).digest('hex') }
}

/** The platform's word on what is current: what `signChannelStatement` of the SDK makes, at once instead of in a promise. */
export function signStatement(statement: ChannelStatement, { key, keyId }: StatementKey): Envelope {
  const payload = Buffer.from(JSON.stringify(statement))
  const signature = sign(null, preAuthenticationEncoding(payloadTypes.channel, payload), key)
  return {
    payloadType: payloadTypes.channel,
    payload: payload.toString('base64'),
    signatures: [{ keyid: keyId, sig: signature.toString('base64') }],
  }
}
