import { createHash, createPrivateKey, type KeyObject } from 'node:crypto'

import { BerError, childAt, readBer, readOctets } from './ber.js'
import type { CredentialFacts } from './credential-facts.js'
import { CredentialRefusal } from './credential-refusal.js'
import { DerivationBudget } from './derivation-budget.js'
import { describeKey, publicKeyOf, readPrivateKey } from './describe-certificate.js'
import type { InspectedCredential } from './inspect-file.js'
import { decryptPbe } from './pkcs12/decrypt-pbe.js'
import { passwordForms } from './pkcs12/passwords.js'

/** A key of App Store Connect or of the push service: PKCS#8, P-256 (.p8). */
export function inspectApplePrivateKey(bytes: Buffer): InspectedCredential {
  const { label, der } = readPem(bytes, 'Upload the .p8 file as Apple gave it to you; it can be downloaded once only.')
  if (label !== 'PRIVATE KEY') throw wrongLabel(label)
  const key = parsePkcs8(der)
  if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
    throw new CredentialRefusal(
      'private-key-unsuitable',
      `The key is ${describeKey(key).keyType}; Apple's keys are on the curve P-256. Upload the .p8 file from the developer portal.`,
    )
  }
  return describe(key, 'p8')
}

/** A key that signs web builds; RSA as devices of the compatible profile check it, or Ed25519. */
export function inspectWebSigningKey(bytes: Buffer, password: string | undefined): InspectedCredential {
  const { label, der } = readPem(bytes, 'Upload the private key as a PEM file.')
  const key = label === 'ENCRYPTED PRIVATE KEY' ? openEncrypted(der, password) : openPlain(label, der)
  const { keyType, keyBits } = describeKey(key)
  if ((keyType === 'rsa' && (keyBits ?? 0) >= 2048) || keyType === 'ed25519') return describe(key, 'pem')
  throw new CredentialRefusal(
    'private-key-unsuitable',
    `The key is ${keyType}${keyBits === null ? '' : ` of ${keyBits} bits`}; live updates are signed with RSA of 2048 bits or more, or with Ed25519.`,
  )
}

/** The one block of a PEM file. */
function readPem(bytes: Buffer, advice: string): { label: string; der: Buffer } {
  const blocks = [...bytes.toString('latin1').matchAll(/-----BEGIN ([A-Z0-9 ]+)-----([\s\S]*?)-----END \1-----/g)]
  const [, label = '', body = ''] = blocks[0] ?? []
  if (/Proc-Type:/.test(body)) throw encrypted()
  const text = body.replaceAll(/\s/g, '')
  if (blocks.length !== 1 || !/^[A-Za-z0-9+/]+=*$/.test(text)) {
    throw new CredentialRefusal('private-key-unrecognized', `The file is no private key in PEM form. ${advice}`)
  }
  return { label, der: Buffer.from(text, 'base64') }
}

function openPlain(label: string, der: Buffer): KeyObject {
  if (label === 'PRIVATE KEY') return parsePkcs8(der)
  if (label !== 'RSA PRIVATE KEY') throw wrongLabel(label)
  try {
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs1' })
  } catch {
    throw damaged()
  }
}

/** `EncryptedPrivateKeyInfo`; its rounds are counted before they are run. */
function openEncrypted(der: Buffer, password: string | undefined): KeyObject {
  if (!password) throw encrypted()
  const forms = passwordForms(password)
  const [bmp = Buffer.alloc(0)] = forms.bmp
  try {
    const root = readBer(der)
    const budget = new DerivationBudget()
    for (const bytes of forms.bytes) {
      const plain = decryptPbe(childAt(root, 0), { bmp, bytes }, readOctets(childAt(root, 1)), budget)
      if (plain !== null && isPkcs8(plain)) return readPrivateKey(plain)
    }
  } catch (error) {
    throw error instanceof BerError ? damaged() : error
  }
  throw new CredentialRefusal('key-password-wrong', 'The password of the private key is wrong.')
}

/** Good padding happens by chance once in 256 wrong passwords; a whole key does not. */
function isPkcs8(plain: Buffer): boolean {
  try {
    createPrivateKey({ key: plain, format: 'der', type: 'pkcs8' })
    return true
  } catch {
    return false
  }
}

function parsePkcs8(der: Buffer): KeyObject {
  try {
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  } catch {
    throw damaged()
  }
}

function describe(key: KeyObject, format: 'p8' | 'pem'): InspectedCredential {
  return {
    facts: { ...keyFacts(key), format },
    key: { keyPkcs8B64: key.export({ format: 'der', type: 'pkcs8' }).toString('base64'), chainDerB64: [] },
  }
}

/** Facts of a key that comes without a certificate. */
export function keyFacts(key: KeyObject): Omit<CredentialFacts, 'format'> {
  return {
    keyAlias: null,
    fingerprintSha256: createHash('sha256').update(publicKeyOf(key)).digest('hex'),
    fingerprintSha1: null,
    subject: null,
    issuer: null,
    serialNumber: null,
    notBefore: null,
    notAfter: null,
    ...describeKey(key),
    type: 'production',
    teamId: null,
    clientEmail: null,
    projectId: null,
    keyId: null,
    warnings: [],
  }
}

function wrongLabel(label: string): CredentialRefusal {
  if (label === 'ENCRYPTED PRIVATE KEY') return encrypted()
  const advice =
    label === 'EC PRIVATE KEY'
      ? 'Convert it with: openssl pkcs8 -topk8 -nocrypt -in key.pem -out key.p8'
      : 'Upload the file that holds the private key.'
  return new CredentialRefusal(
    'private-key-unrecognized',
    `The file holds "${label}", not a PKCS#8 private key. ${advice}`,
  )
}

function encrypted(): CredentialRefusal {
  return new CredentialRefusal(
    'private-key-encrypted',
    'The private key is encrypted and its password is not given, or not supported here. Convert it with: openssl pkcs8 -topk8 -in key.pem -out new.pem, and give its password.',
  )
}

function damaged(): CredentialRefusal {
  return new CredentialRefusal('private-key-unrecognized', 'The private key is damaged. Upload the original file.')
}
