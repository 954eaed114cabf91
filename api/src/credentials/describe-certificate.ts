import {
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  randomBytes,
  sign,
  verify,
  X509Certificate,
} from 'node:crypto'

import { BerError, childAt, readBer, readOid } from './ber.js'
import type { CredentialFacts, NormalizedKey } from './credential-facts.js'
import { CredentialRefusal } from './credential-refusal.js'
import { shown } from './opened-keystore.js'

const MAX_CHAIN = 10
const MAX_CHAIN_BYTES = 64 * 1024
const CLOCK_TOLERANCE_MS = 5 * 60_000
const WEAK_SIGNATURES: Record<string, string> = {
  '1.2.840.113549.1.1.4': 'MD5',
  '1.2.840.113549.1.1.5': 'SHA-1',
  '1.2.840.10045.4.1': 'SHA-1',
  '1.2.840.10040.4.3': 'SHA-1',
}

export function readPrivateKey(pkcs8: Buffer): KeyObject {
  try {
    return createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' })
  } catch {
    throw new CredentialRefusal('keystore-damaged', 'The private key in the file cannot be read.')
  }
}

export function readCertificate(der: Buffer | null, alias: string): X509Certificate {
  try {
    if (der !== null) return new X509Certificate(der)
  } catch {
    // Falls through: a certificate that cannot be read is as good as none.
  }
  throw new CredentialRefusal(
    'keystore-damaged',
    `The keystore has no readable certificate for the key "${shown(alias)}".`,
  )
}

/** Refuses a key that is not the certificate's: by their public halves, and by a signature over a nonce. */
export function requirePair(key: KeyObject, certificate: X509Certificate, alias: string): void {
  const nonce = randomBytes(32)
  const algorithm = key.asymmetricKeyType === 'ed25519' ? null : 'sha256'
  const pair =
    certificate.checkPrivateKey(key) && verify(algorithm, nonce, certificate.publicKey, sign(algorithm, nonce, key))
  if (pair) return
  throw new CredentialRefusal(
    'keystore-key-mismatch',
    `The certificate of "${shown(alias)}" belongs to another key. Import the right one into the keystore.`,
  )
}

export function requireValidity(certificate: X509Certificate, alias: string, now: Date): void {
  const [notBefore, notAfter] = validityOf(certificate)
  if (notAfter <= now) {
    throw new CredentialRefusal(
      'keystore-certificate-expired',
      `The certificate of "${shown(alias)}" expired on ${notAfter.toISOString().slice(0, 10)}. Renew it and upload it with its key.`,
    )
  }
  if (notBefore.getTime() > now.getTime() + CLOCK_TOLERANCE_MS) {
    throw new CredentialRefusal(
      'certificate-not-yet-valid',
      `The certificate of "${shown(alias)}" is valid from ${notBefore.toISOString()} on only. Upload it then, or check the clocks.`,
    )
  }
}

/** The certificate's and the key's part of the facts. */
export function describeCertificate(certificate: X509Certificate, key: KeyObject) {
  const [notBefore, notAfter] = validityOf(certificate)
  const weak = WEAK_SIGNATURES[signatureOf(certificate)]
  return {
    fingerprintSha256: fingerprint(certificate.fingerprint256),
    fingerprintSha1: fingerprint(certificate.fingerprint),
    subject: nameOf(certificate.subject),
    issuer: nameOf(certificate.issuer),
    serialNumber: certificate.serialNumber.toLowerCase(),
    notBefore: notBefore.toISOString(),
    notAfter: notAfter.toISOString(),
    ...describeKey(key),
    teamId: null,
    clientEmail: null,
    projectId: null,
    keyId: null,
    warnings: weak === undefined ? [] : [`The certificate is signed with ${weak}.`],
  } satisfies Partial<CredentialFacts>
}

export function describeKey(key: KeyObject): { keyType: string; keyBits: number | null } {
  const details = key.asymmetricKeyDetails ?? {}
  return {
    keyType: details.namedCurve ?? key.asymmetricKeyType ?? 'unknown',
    keyBits: details.modulusLength ?? null,
  }
}

export function fingerprint(colons: string): string {
  return colons.replaceAll(':', '').toLowerCase()
}

/** PKCS#8 and the chain from the key's own certificate upwards, as far as the file has it. */
export function normalize(key: KeyObject, leaf: X509Certificate, others: readonly Buffer[]): NormalizedKey {
  const chain = [leaf]
  const pool = others.flatMap((der) => readable(der))
  let size = leaf.raw.length
  for (let last = leaf; chain.length < MAX_CHAIN && last.subject !== last.issuer;) {
    const issuer = pool.find(
      (candidate) => issued(candidate, last) && !chain.some((own) => own.raw.equals(candidate.raw)),
    )
    size += issuer?.raw.length ?? 0
    if (issuer === undefined || size > MAX_CHAIN_BYTES) break
    chain.push(issuer)
    last = issuer
  }
  return {
    keyPkcs8B64: key.export({ format: 'der', type: 'pkcs8' }).toString('base64'),
    chainDerB64: chain.map(({ raw }) => raw.toString('base64')),
  }
}

/** Whether the one has signed the other, by name and by signature. */
export function issued(issuer: X509Certificate, certificate: X509Certificate): boolean {
  try {
    return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)
  } catch {
    // A key that cannot be read has signed nothing.
    return false
  }
}

/** For kinds without a certificate. */
export function publicKeyOf(key: KeyObject): Buffer {
  return createPublicKey(key).export({ format: 'der', type: 'spki' })
}

function readable(der: Buffer): X509Certificate[] {
  try {
    return [new X509Certificate(der)]
  } catch {
    return []
  }
}

function validityOf({ validFrom, validTo }: X509Certificate): [Date, Date] {
  return [new Date(validFrom), new Date(validTo)]
}

function nameOf(name: string | undefined): string {
  return (name ?? '').split('\n').toReversed().join(', ')
}

/** `Certificate ::= SEQUENCE { tbs, SEQUENCE { OID, … }, … }` */
function signatureOf({ raw }: X509Certificate): string {
  try {
    return readOid(childAt(childAt(readBer(raw), 1), 0))
  } catch (error) {
    if (error instanceof BerError) return ''
    throw error
  }
}
