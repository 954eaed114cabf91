import { decodeBase64 } from './base64.js'
import { readDer } from './read-der.js'
import { ReleaseError, type ReleaseErrorCode } from './release-error.js'

const minimumBits = 2048
const maximumBits = 8192
const pemLabel = /-----BEGIN ([A-Z0-9 ]+)-----/g
const publicPem = /^\s*-----BEGIN PUBLIC KEY-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END PUBLIC KEY-----\s*$/

/** How a key signs; a property of the key, never of a message. */
export type KeyAlgorithm = 'RSASSA-PKCS1-v1_5' | 'RSA-PSS' | 'Ed25519'

/** Bytes of the salt of a PSS signature. */
export const pssSaltBytes = 32

// RFC 4055: id-RSASSA-PSS for SHA-256, MGF1 with SHA-256 and a salt of 32 bytes, as OpenSSL writes it.
const sha256Identifier = '300d06096086480165030402010500'
const pssParameters = `3034a00f${sha256Identifier}a11c301a06092a864886f70d010108${sha256Identifier}a203020120`
/** The contents of the AlgorithmIdentifier of each kind of key: rsaEncryption has a NULL parameter, Ed25519 none. */
const identifiers: Record<KeyAlgorithm, string> = {
  'RSASSA-PKCS1-v1_5': '06092a864886f70d0101010500',
  'RSA-PSS': `06092a864886f70d01010a${pssParameters}`,
  Ed25519: '06032b6570',
}

/** Which kind of key an AlgorithmIdentifier names; `null` for one that is not accepted. */
export function algorithmOf(identifier: Uint8Array): KeyAlgorithm | null {
  const text = hex(identifier)
  return (Object.keys(identifiers) as KeyAlgorithm[]).find((name) => identifiers[name] === text) ?? null
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

function refuse(code: ReleaseErrorCode, message: string): never {
  throw new ReleaseError(code, message)
}

/** The DER inside a PEM that holds exactly one SPKI public key and nothing else. */
function readPem(pem: string): Uint8Array<ArrayBuffer> {
  const labels = Array.from(pem.matchAll(pemLabel), (match) => match[1] as string)
  const [label] = labels
  if (label === undefined)
    refuse('KEY_NOT_PEM', 'The key is not a PEM text: it must begin with -----BEGIN PUBLIC KEY-----.')
  if (labels.some((name) => name.includes('PRIVATE'))) {
    refuse('KEY_PRIVATE', 'This is a private key. Keep it where you sign, and give the public key here.')
  }
  if (labels.length > 1) refuse('KEY_SEVERAL', 'The PEM holds several keys; give exactly one.')
  if (label.includes('CERTIFICATE')) refuse('KEY_CERTIFICATE', 'This is a certificate; give the public key in it.')
  if (label !== 'PUBLIC KEY') refuse('KEY_NOT_SPKI', `A "${label}" is not accepted; give an SPKI "PUBLIC KEY".`)
  const body = publicPem.exec(pem)?.[1]
  if (body === undefined) refuse('KEY_NOT_PEM', 'The PEM text is damaged, or something surrounds it.')
  return decodeBase64(body.replace(/[\r\n]/g, '')) ?? refuse('KEY_MALFORMED', 'The PEM does not hold valid base64.')
}

function readSpki(der: Uint8Array): { algorithm: KeyAlgorithm | null; key: Uint8Array } {
  const outer = readDer(der)
  const content = outer.take(0x30)
  if (!content || !outer.done) refuse('KEY_MALFORMED', 'The key is not one DER structure.')
  const fields = readDer(content)
  const algorithm = fields.take(0x30)
  const bits = fields.take(0x03)
  if (!algorithm || !bits || !fields.done || bits[0] !== 0) refuse('KEY_MALFORMED', 'The key is not an SPKI structure.')
  return { algorithm: algorithmOf(algorithm), key: bits.subarray(1) }
}

/** An unsigned integer of DER: minimal and positive, its sign byte taken off. */
function readUnsigned(value: Uint8Array | null): Uint8Array {
  const [first, second] = value ?? []
  if (!value || first === undefined || first >= 0x80)
    refuse('KEY_MALFORMED', 'The key holds a number that is not positive.')
  if (first !== 0) return value
  if (second === undefined || second < 0x80)
    refuse('KEY_MALFORMED', 'The key holds a number that is not in its shortest form.')
  return value.subarray(1)
}

function checkRsa(key: Uint8Array): number {
  const outer = readDer(key)
  const content = outer.take(0x30)
  const numbers = readDer(content ?? refuse('KEY_MALFORMED', 'The key is not an RSA key.'))
  const modulus = readUnsigned(numbers.take(0x02))
  const exponent = readUnsigned(numbers.take(0x02))
  if (!outer.done || !numbers.done || ((modulus.at(-1) ?? 0) & 1) === 0)
    refuse('KEY_MALFORMED', 'The key is not an RSA key.')
  const bits = modulus.length * 8 - (Math.clz32(modulus[0] as number) - 24)
  if (bits < minimumBits || bits > maximumBits) {
    refuse(
      'KEY_SIZE',
      `The RSA key has ${bits} bits; ${minimumBits} to ${maximumBits} are accepted, 3072 or more recommended.`,
    )
  }
  if (hex(exponent) !== '010001') refuse('KEY_EXPONENT', 'The RSA key must have the public exponent 65537.')
  return bits
}

/** A public key that keeps the key policy. */
export interface PublicKey {
  /** The DER as given; its hash is the key identifier. */
  spki: Uint8Array<ArrayBuffer>
  /** Of the modulus, or of the curve. */
  bits: number
  algorithm: KeyAlgorithm
}

function checkEd25519(key: Uint8Array): number {
  if (key.length !== 32) refuse('KEY_SIZE', 'An Ed25519 key has 32 bytes.')
  return 256
}

/**
 * Reads a customer's public key under the key policy: one SPKI PEM with RSA of 2048 to 8192 bits and e = 65537 (for
 * PKCS#1 v1.5, or for PSS when the key says so), or with Ed25519.
 *
 * @throws {ReleaseError} `KEY_*`
 */
export function readReleasePublicKey(pem: string): PublicKey {
  const spki = readPem(pem)
  const { algorithm, key } = readSpki(spki)
  if (algorithm === null) {
    refuse('KEY_ALGORITHM', 'Release keys must be RSA (PSS only with SHA-256 and a salt of 32 bytes) or Ed25519.')
  }
  return { spki, algorithm, bits: algorithm === 'Ed25519' ? checkEd25519(key) : checkRsa(key) }
}

/**
 * Reads a platform's public key: one SPKI PEM with an Ed25519 key.
 *
 * @throws {ReleaseError} `KEY_*`
 */
export function readPlatformPublicKey(pem: string): PublicKey {
  const spki = readPem(pem)
  const { algorithm, key } = readSpki(spki)
  if (algorithm !== 'Ed25519') refuse('KEY_ALGORITHM', 'The key is not an Ed25519 key; platform keys must be Ed25519.')
  return { spki, algorithm, bits: checkEd25519(key) }
}
