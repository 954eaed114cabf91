import { sha256Hex } from '../archive/sha256.js'
import { decodeBase64, encodeBase64 } from './base64.js'
import { ReleaseError } from './release-error.js'
import { type TrustedKey, verifySignature } from './trusted-key.js'

const maximumPayloadBytes = 4 * 1024 * 1024
const maximumSignatures = 8

/** A DSSE envelope (DSSE 1.0): the exact signed bytes, their type, and who signed them. */
export interface Envelope {
  payloadType: string
  /** Standard base64 of the payload bytes. */
  payload: string
  signatures: { keyid: string; sig: string }[]
}

/** Makes one signature over given bytes. `keyId` is a hint for people; verifiers use their pinned keys. */
export interface Signer {
  readonly keyId: string
  sign(message: Uint8Array): Promise<Uint8Array>
}

/** DSSE pre-authentication encoding: `DSSEv1 SP LEN(type) SP type SP LEN(payload) SP payload`, lengths in bytes. */
export function preAuthenticationEncoding(payloadType: string, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  const encoder = new TextEncoder()
  const type = encoder.encode(payloadType)
  const head = encoder.encode(`DSSEv1 ${type.length} ${payloadType} ${payload.length} `)
  const bytes = new Uint8Array(head.length + payload.length)
  bytes.set(head)
  bytes.set(payload, head.length)
  return bytes
}

/** Signs payload bytes by every given signer. */
export async function sealEnvelope(
  payloadType: string,
  payload: Uint8Array,
  signers: readonly Signer[],
): Promise<Envelope> {
  const message = preAuthenticationEncoding(payloadType, payload)
  const signatures = await Promise.all(
    signers.map(async (signer) => ({ keyid: signer.keyId, sig: encodeBase64(await signer.sign(message)) })),
  )
  return { payloadType, payload: encodeBase64(payload), signatures }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The fixed framing of an envelope, with its payload still unread. */
function readFraming(envelope: unknown, payloadType: string): { payload: Uint8Array; signatures: unknown[] } {
  if (envelope === null || envelope === undefined) {
    throw new ReleaseError('SIGNATURE_MISSING', 'There is no signed statement, and without one nothing is installed.')
  }
  if (!isRecord(envelope) || typeof envelope['payload'] !== 'string' || typeof envelope['payloadType'] !== 'string') {
    throw new ReleaseError('ENVELOPE_MALFORMED', 'The envelope is not a DSSE envelope.')
  }
  const signatures = envelope['signatures'] ?? []
  if (!Array.isArray(signatures) || signatures.length > maximumSignatures) {
    throw new ReleaseError('ENVELOPE_MALFORMED', `The envelope must list 1 to ${maximumSignatures} signatures.`)
  }
  if (signatures.length === 0) throw new ReleaseError('SIGNATURE_MISSING', 'The envelope has no signature.')
  if (envelope['payloadType'] !== payloadType) {
    throw new ReleaseError('ENVELOPE_TYPE', `The envelope does not hold a statement of type ${payloadType}.`)
  }
  const payload = envelope['payload'].length <= maximumPayloadBytes * 2 ? decodeBase64(envelope['payload']) : null
  if (payload === null || payload.length > maximumPayloadBytes) {
    throw new ReleaseError('ENVELOPE_MALFORMED', 'The payload of the envelope is too large or not strict base64.')
  }
  return { payload, signatures: signatures.map((entry) => (isRecord(entry) ? entry['sig'] : null)) }
}

/**
 * Opens an envelope: some signature in it must be by one of `keys` over the exact payload bytes. Only then is the
 * payload worth parsing. Key identifiers in the envelope are not looked at.
 *
 * @returns the payload and its SHA-256 in lower-case hex
 * @throws {ReleaseError} `SIGNATURE_MISSING`, `BAD_SIGNATURE`, `ENVELOPE_MALFORMED`, `ENVELOPE_TYPE`
 */
export async function openEnvelope(
  envelope: unknown,
  payloadType: string,
  keys: readonly TrustedKey[],
): Promise<{ payload: Uint8Array; sha256: string }> {
  const { payload, signatures } = readFraming(envelope, payloadType)
  const message = preAuthenticationEncoding(payloadType, payload)
  let refusal: unknown = null
  for (const signature of signatures) {
    try {
      await verifySignature(keys, message, signature)
      return { payload, sha256: await sha256Hex(payload) }
    } catch (error) {
      refusal = error
    }
  }
  throw refusal
}
