import { decodeBase64 } from './base64.js'
import { readDer } from './read-der.js'
import { ReleaseError, type ReleaseErrorCode } from './release-error.js'

const minimumBits = 2048
const maximumBits = 8192
const pemLabel = /-----BEGIN ([A-Z0-9 ]+)-----/g
const publicPem = /^\s*-----BEGIN PUBLIC KEY-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END PUBLIC KEY-----\s*$/
// rsaEncryption with its NULL parameter, and Ed25519, which has none.
const rsaAlgorithm = '06092a864886f70d0101010500'
const ed25519Algorithm = '06032b6570'

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

function readSpki(der: Uint8Array): { algorithm: string; key: Uint8Array } {
  const outer = readDer(der)
  const content = outer.take(0x30)
  if (!content || !outer.done) refuse('KEY_MALFORMED', 'The key is not one DER structure.')
  const fields = readDer(content)
  const algorithm = fields.take(0x30)
  const bits = fields.take(0x03)
  if (!algorithm || !bits || !fields.done || bits[0] !== 0) refuse('KEY_MALFORMED', 'The key is not an SPKI structure.')
  return { algorithm: hex(algorithm), key: bits.subarray(1) }
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

/**
 * Reads a customer's public key under the key policy: one SPKI PEM, RSA of 2048 to 8192 bits, e = 65537.
 *
 * @returns the DER and the size of the modulus in bits
 * @throws {ReleaseError} `KEY_*`
 */
export function readReleasePublicKey(pem: string): { spki: Uint8Array<ArrayBuffer>; bits: number } {
  const spki = readPem(pem)
  const { algorithm, key } = readSpki(spki)
  if (algorithm !== rsaAlgorithm) refuse('KEY_ALGORITHM', 'The key is not an RSA key; release keys must be RSA.')
  return { spki, bits: checkRsa(key) }
}

/**
 * Reads a platform's public key: one SPKI PEM with an Ed25519 key.
 *
 * @throws {ReleaseError} `KEY_*`
 */
export function readPlatformPublicKey(pem: string): { spki: Uint8Array<ArrayBuffer> } {
  const spki = readPem(pem)
  const { algorithm, key } = readSpki(spki)
  if (algorithm !== ed25519Algorithm)
    refuse('KEY_ALGORITHM', 'The key is not an Ed25519 key; platform keys must be Ed25519.')
  if (key.length !== 32) refuse('KEY_SIZE', 'An Ed25519 key has 32 bytes.')
  return { spki }
}
