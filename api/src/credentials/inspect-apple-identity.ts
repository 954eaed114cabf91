import type { KeyObject, X509Certificate } from 'node:crypto'

import { CredentialRefusal } from './credential-refusal.js'
import {
  describeCertificate,
  fingerprint,
  issued,
  normalize,
  readCertificate,
  readPrivateKey,
  requirePair,
  requireValidity,
} from './describe-certificate.js'
import type { InspectedCredential } from './inspect-file.js'
import { type KeystoreEntry, shown } from './opened-keystore.js'
import { readPkcs12 } from './pkcs12/read-pkcs12.js'

const CODE_SIGNING = '1.3.6.1.5.5.7.3.3'
const DEVELOPMENT = /^(Apple Development|iPhone Developer|Mac Developer): /
const DISTRIBUTION = /^(Apple Distribution|iPhone Distribution|3rd Party Mac Developer Application): /
/** Apple Worldwide Developer Relations, G1 to G6. */
const APPLE_INTERMEDIATES = new Set([
  'ce057691d730f89ca25e916f7335f4c8a15713dcd273a658c024023f8eb809c2',
  '9ed4b3b88c6a339cf1387895bda9ca6ea31a6b5ce9edf7511845923b0c8ac94c',
  'dcf21878c77f4198e4b4614f03d696d89c66c66008d4244e1b99161aac91601f',
  'ea4757885538dd8cb59ff4556f676087d83c85e70902c122e42c0808b5bce14c',
  '53fd008278e5a595fe1e908ae9c5e5675f26243264a5a6438c023e3ce2870760',
  'bdd4ed6e74691f0c2bfd01be0296197af1379e0418e2d300efa9c3bef642ca30',
])

/** Opens a signing identity as Keychain or OpenSSL exports it (.p12). Throws `CredentialRefusal`. */
export function inspectAppleIdentity(bytes: Buffer, password: string, now: Date): InspectedCredential {
  if (bytes[0] !== 0x30 || bytes.length < 32) throw unrecognized(bytes)
  const { entries, certificates } = readPkcs12(bytes, password)
  const entry = onlyEntry(entries)
  const key = readPrivateKey(entry.openKey(undefined))
  const certificate = ownCertificate(entry, key, certificates)
  requirePair(key, certificate, entry.alias)
  requireValidity(certificate, entry.alias, now)
  const described = describeCertificate(certificate, key)
  requireStrength(described.keyType, described.keyBits)
  requireCodeSigning(certificate)
  const commonName = one(certificate, 'CN')
  const { type, warnings } = certificateType(commonName)
  return {
    facts: {
      ...described,
      format: 'pkcs12',
      keyAlias: null,
      type,
      teamId: teamOf(certificate),
      warnings: [...described.warnings, ...warnings, ...chainWarnings(certificate, certificates)],
    },
    key: normalize(key, certificate, certificates),
  }
}

function unrecognized(bytes: Buffer): CredentialRefusal {
  const text = bytes.toString('latin1', 0, 64).includes('-----BEGIN')
  return new CredentialRefusal(
    'keystore-unrecognized',
    `The file is ${text ? 'a PEM file' : 'no PKCS12 file'}; export the certificate with its private key as .p12 from Keychain Access.`,
  )
}

function onlyEntry(entries: KeystoreEntry[]): KeystoreEntry {
  const [entry, ...others] = entries
  if (entry === undefined) {
    throw new CredentialRefusal(
      'keystore-no-private-key',
      'The file holds certificates only. In Keychain Access, export the certificate together with its private key.',
    )
  }
  if (others.length === 0) return entry
  throw new CredentialRefusal(
    'keystore-several-keys',
    `The file holds ${entries.length} private keys. Export one identity alone.`,
  )
}

/** The certificate that the key's id names; without an id, the one that holds the public half, wherever it stands. */
function ownCertificate(entry: KeystoreEntry, key: KeyObject, certificates: Buffer[]): X509Certificate {
  if (entry.certificate !== null) return readCertificate(entry.certificate, entry.alias)
  const matching = certificates.map((der) => readCertificate(der, entry.alias)).find((own) => own.checkPrivateKey(key))
  if (matching !== undefined) return matching
  if (certificates.length === 0) return readCertificate(null, entry.alias)
  throw new CredentialRefusal(
    'keystore-key-mismatch',
    'None of the certificates in the file belongs to the private key. Export the identity again.',
  )
}

function requireStrength(keyType: string, bits: number | null): void {
  if (keyType === 'prime256v1' || (keyType === 'rsa' && (bits ?? 0) >= 2048)) return
  throw new CredentialRefusal(
    'certificate-key-weak',
    `The key is ${keyType}${bits === null ? '' : ` of ${bits} bits`}; Apple's signing keys are RSA of 2048 bits or more, or P-256. Request a new certificate.`,
  )
}

function requireCodeSigning(certificate: X509Certificate): void {
  // Node calls the extended key usages so.
  const usages = certificate.keyUsage as string[] | undefined
  if (usages?.includes(CODE_SIGNING)) return
  throw new CredentialRefusal(
    'certificate-not-for-code-signing',
    `The certificate "${shown(one(certificate, 'CN'))}" is not for code signing. Upload an Apple Distribution or Apple Development certificate.`,
  )
}

function teamOf(certificate: X509Certificate): string {
  const team = one(certificate, 'OU')
  if (/^[A-Z0-9]{10}$/.test(team)) return team
  throw new CredentialRefusal(
    'certificate-team-missing',
    'The certificate names no Apple team (ten letters and digits as its OU). Upload a certificate from the developer portal.',
  )
}

function certificateType(commonName: string): { type: 'development' | 'production'; warnings: string[] } {
  if (DEVELOPMENT.test(commonName)) return { type: 'development', warnings: [] }
  if (DISTRIBUTION.test(commonName)) return { type: 'production', warnings: [] }
  const warning = `"${shown(commonName)}" is neither an Apple Distribution nor an Apple Development certificate.`
  return { type: 'production', warnings: [warning] }
}

function chainWarnings(certificate: X509Certificate, certificates: Buffer[]): string[] {
  const intermediate = certificates
    .map((der) => readCertificate(der, 'the chain'))
    .find((candidate) => !candidate.raw.equals(certificate.raw) && issued(candidate, certificate))
  if (intermediate === undefined) {
    return ["The file has no intermediate certificate; Apple's must be known where the app is signed."]
  }
  if (APPLE_INTERMEDIATES.has(fingerprint(intermediate.fingerprint256))) return []
  return ["The certificate is not issued by one of Apple's intermediates that are known here."]
}

/** A part of the subject; the first where there are several. */
function one(certificate: X509Certificate, part: 'CN' | 'OU'): string {
  const value = (certificate.toLegacyObject().subject as unknown as Record<string, string | string[] | undefined>)[part]
  return (Array.isArray(value) ? value[0] : value) ?? ''
}
