import { sha256Hex } from '../archive/index.js'
import { decodeBase64 } from './base64.js'
import { type Envelope, sealEnvelope, type Signer } from './envelope.js'
import { parseChannelStatement, parseReleaseStatement, parseRootStatement } from './parse-statement.js'
import { ReleaseError } from './release-error.js'
import { type ChannelStatement, payloadTypes, type ReleaseStatement, type RootStatement } from './statements.js'

const privatePem = /^\s*-----BEGIN PRIVATE KEY-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END PRIVATE KEY-----\s*$/

function readPkcs8(pem: string): Uint8Array<ArrayBuffer> {
  const body = privatePem.exec(pem)?.[1]
  const der = body === undefined ? null : decodeBase64(body.replace(/[\r\n]/g, ''))
  if (der === null)
    throw new ReleaseError('KEY_NOT_PEM', 'The private key is not one unencrypted PKCS#8 "PRIVATE KEY" PEM.')
  return der
}

/**
 * A signer with a customer's RSA key: RSASSA-PKCS1-v1_5 with SHA-256.
 *
 * @param pem the private key, unencrypted PKCS#8
 * @param keyId the SHA-256 of its public SPKI, as a hint in envelopes
 * @throws {ReleaseError} `KEY_*`
 */
export async function importReleaseSigner(pem: string, keyId: string): Promise<Signer> {
  const { subtle } = globalThis.crypto
  const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
  const key = await subtle.importKey('pkcs8', readPkcs8(pem), algorithm, false, ['sign']).catch(() => {
    throw new ReleaseError('KEY_ALGORITHM', 'The private key is not an RSA key.')
  })
  const { modulusLength, publicExponent } = key.algorithm as unknown as {
    modulusLength: number
    publicExponent: Uint8Array
  }
  if (modulusLength < 2048) throw new ReleaseError('KEY_SIZE', 'The RSA key has less than 2048 bits.')
  if (publicExponent.join() !== '1,0,1')
    throw new ReleaseError('KEY_EXPONENT', 'The RSA key must have the public exponent 65537.')
  return { keyId, sign: async (message) => new Uint8Array(await subtle.sign(algorithm.name, key, message)) }
}

/**
 * A signer with a platform's Ed25519 key.
 *
 * @throws {ReleaseError} `KEY_*`
 */
export async function importPlatformSigner(pem: string, keyId: string): Promise<Signer> {
  const { subtle } = globalThis.crypto
  const key = await subtle.importKey('pkcs8', readPkcs8(pem), { name: 'Ed25519' }, false, ['sign']).catch(() => {
    throw new ReleaseError('KEY_ALGORITHM', 'The private key is not an Ed25519 key.')
  })
  return { keyId, sign: async (message) => new Uint8Array(await subtle.sign('Ed25519', key, message)) }
}

function encode(statement: object): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(statement))
}

/** Signs a release statement. The identifier of the release is the SHA-256 of the exact payload bytes. */
export async function signRelease(
  statement: ReleaseStatement,
  signer: Signer,
): Promise<{ envelope: Envelope; releaseId: string }> {
  const payload = encode(statement)
  parseReleaseStatement(payload)
  return { envelope: await sealEnvelope(payloadTypes.release, payload, [signer]), releaseId: await sha256Hex(payload) }
}

/** Signs a channel statement with the platform's key. */
export async function signChannelStatement(statement: ChannelStatement, signer: Signer): Promise<Envelope> {
  const payload = encode(statement)
  parseChannelStatement(payload)
  return sealEnvelope(payloadTypes.channel, payload, [signer])
}

/** Signs a root statement; give a signer of the root before it and one of its own. */
export async function signRoot(statement: RootStatement, signers: readonly Signer[]): Promise<Envelope> {
  const payload = encode(statement)
  parseRootStatement(payload)
  return sealEnvelope(payloadTypes.root, payload, signers)
}
