import { asPlainRsa } from './as-plain-rsa.js'
import { decodeBase64 } from './base64.js'
import type { Signer } from './envelope.js'
import { readDer } from './read-der.js'
import { algorithmOf, type KeyAlgorithm, pssSaltBytes } from './read-public-key.js'
import { ReleaseError } from './release-error.js'

const privatePem = /^\s*-----BEGIN PRIVATE KEY-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END PRIVATE KEY-----\s*$/
/** Where the AlgorithmIdentifier of an RSA key starts: after the header of the whole and the version. */
const identifierOffset = 7

function readPkcs8(pem: string): { der: Uint8Array<ArrayBuffer>; algorithm: KeyAlgorithm | null } {
  const body = privatePem.exec(pem)?.[1]
  const der = body === undefined ? null : decodeBase64(body.replace(/[\r\n]/g, ''))
  const fields = readDer((der && readDer(der).take(0x30)) ?? new Uint8Array())
  const algorithm = fields.take(0x02) && fields.take(0x30)
  if (!der || !algorithm)
    throw new ReleaseError('KEY_NOT_PEM', 'The private key is not one unencrypted PKCS#8 "PRIVATE KEY" PEM.')
  return { der, algorithm: algorithmOf(algorithm) }
}

async function importSigner(der: Uint8Array<ArrayBuffer>, name: KeyAlgorithm, keyId: string): Promise<Signer> {
  const { subtle } = globalThis.crypto
  const form = name === 'RSA-PSS' ? asPlainRsa(der, identifierOffset) : der
  const algorithm = { name, hash: 'SHA-256', saltLength: pssSaltBytes }
  const key = await subtle.importKey('pkcs8', form, algorithm, false, ['sign']).catch(() => {
    throw new ReleaseError('KEY_MALFORMED', 'The private key cannot be read.')
  })
  const { modulusLength = 2048, publicExponent } = key.algorithm as unknown as {
    modulusLength?: number
    publicExponent?: Uint8Array
  }
  if (modulusLength < 2048) throw new ReleaseError('KEY_SIZE', 'The RSA key has less than 2048 bits.')
  if (publicExponent !== undefined && publicExponent.join() !== '1,0,1')
    throw new ReleaseError('KEY_EXPONENT', 'The RSA key must have the public exponent 65537.')
  return { keyId, sign: async (message) => new Uint8Array(await subtle.sign(algorithm, key, message)) }
}

/**
 * A signer with a customer's key, which signs as the key itself says: RSASSA-PKCS1-v1_5, RSA-PSS, both with SHA-256, or
 * Ed25519.
 *
 * @param pem the private key, unencrypted PKCS#8
 * @param keyId the SHA-256 of its public SPKI, as a hint in envelopes
 * @throws {ReleaseError} `KEY_*`
 */
export async function importReleaseSigner(pem: string, keyId: string): Promise<Signer> {
  const { der, algorithm } = readPkcs8(pem)
  if (algorithm === null)
    throw new ReleaseError('KEY_ALGORITHM', 'The private key is neither RSA (with SHA-256) nor Ed25519.')
  return importSigner(der, algorithm, keyId)
}

/**
 * A signer with a platform's Ed25519 key.
 *
 * @throws {ReleaseError} `KEY_*`
 */
export async function importPlatformSigner(pem: string, keyId: string): Promise<Signer> {
  const { der, algorithm } = readPkcs8(pem)
  if (algorithm !== 'Ed25519') throw new ReleaseError('KEY_ALGORITHM', 'The private key is not an Ed25519 key.')
  return importSigner(der, algorithm, keyId)
}
