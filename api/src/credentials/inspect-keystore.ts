import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'

import forge from 'node-forge'

import {
  conversionCommand,
  type KeystoreEntry,
  type KeystoreFacts,
  type KeystoreQuestion,
  KeystoreRefusal,
  type OpenedKeystore,
} from './keystore-verdict.js'
import { readJks } from './read-jks.js'
import { readPkcs12 } from './read-pkcs12.js'

const { asn1 } = forge
/** What Google Play asks of an upload key. */
const PLAY_MINIMUM = new Date('2033-10-23T00:00:00Z')
const WEAK_SIGNATURES: Record<string, string> = {
  '1.2.840.113549.1.1.4': 'MD5',
  '1.2.840.113549.1.1.5': 'SHA-1',
  '1.2.840.10045.4.1': 'SHA-1',
  '1.2.840.10040.4.3': 'SHA-1',
}

/** Opens a keystore and the key that is to be used, and tells what is in it. Throws `KeystoreRefusal`. */
export function inspectKeystore(question: KeystoreQuestion, now: Date): KeystoreFacts {
  const { password, keyAlias, keyPassword } = question
  const keystore = openKeystore(Buffer.from(question.fileB64, 'base64'), password)
  const entry = chooseEntry(keystore.entries, keyAlias)
  const storePassword = keystore.format === 'jks' ? password : undefined
  const key = readKey(entry.openKey(keyPassword ?? storePassword))
  return describe(keystore.format, entry, key, now)
}

function openKeystore(bytes: Buffer, password: string): OpenedKeystore {
  const magic = bytes.subarray(0, 4).toString('hex')
  if (magic === 'feedfeed') return readJks(bytes, password)
  if (magic === 'cececece') {
    throw new KeystoreRefusal(
      'keystore-unsupported-format',
      `This is a JCEKS keystore. Convert it with: ${conversionCommand('JCEKS')}`,
    )
  }
  if (bytes[0] === 0x30 && bytes.length > 32) return readPkcs12(bytes, password)
  const kind = bytes.toString('latin1', 0, 64).includes('-----BEGIN') ? 'a PEM file' : 'no keystore'
  throw new KeystoreRefusal(
    'keystore-unrecognized',
    `The file is ${kind}; a PKCS12 (.p12, .keystore) or JKS (.jks) keystore is needed.`,
  )
}

/** Aliases are compared as Java does, without regard to case. */
function chooseEntry(entries: KeystoreEntry[], wanted: string | undefined): KeystoreEntry {
  const [first] = entries
  if (first === undefined) {
    throw new KeystoreRefusal(
      'keystore-no-private-key',
      'The keystore holds certificates only. Upload the one that holds the private key.',
    )
  }
  const names = entries
    .map(({ alias }) => `"${shown(alias)}"`)
    .toSorted((a, b) => a.localeCompare(b))
    .join(', ')
  if (wanted === undefined || wanted === '') {
    if (entries.length === 1) return first
    throw new KeystoreRefusal(
      'keystore-alias-not-found',
      `The keystore has several keys: ${names}. Give one as key alias.`,
    )
  }
  const found = entries.find(({ alias }) => alias.toLowerCase() === wanted.toLowerCase())
  if (found !== undefined) return found
  throw new KeystoreRefusal('keystore-alias-not-found', `The keystore has no key "${shown(wanted)}". It has: ${names}.`)
}

function readKey(der: Buffer): KeyObject {
  try {
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  } catch {
    throw new KeystoreRefusal('keystore-damaged', 'The private key in the keystore cannot be read.')
  }
}

function describe(format: 'pkcs12' | 'jks', entry: KeystoreEntry, key: KeyObject, now: Date): KeystoreFacts {
  const certificate = readCertificate(entry)
  if (!certificate.checkPrivateKey(key)) {
    throw new KeystoreRefusal(
      'keystore-key-mismatch',
      `The certificate of "${shown(entry.alias)}" belongs to another key. Import the right one into the keystore.`,
    )
  }
  const [notBefore, notAfter] = [new Date(certificate.validFrom), new Date(certificate.validTo)]
  if (notAfter <= now) {
    throw new KeystoreRefusal(
      'keystore-certificate-expired',
      `The certificate of "${shown(entry.alias)}" expired on ${notAfter.toISOString().slice(0, 10)}.`,
    )
  }
  const details = key.asymmetricKeyDetails ?? {}
  const hex = (text: string) => text.replaceAll(':', '').toLowerCase()
  return {
    format,
    keyAlias: entry.alias,
    fingerprintSha256: hex(certificate.fingerprint256),
    fingerprintSha1: hex(certificate.fingerprint),
    subject: certificate.subject.split('\n').toReversed().join(', '),
    serialNumber: certificate.serialNumber.toLowerCase(),
    notBefore: notBefore.toISOString(),
    notAfter: notAfter.toISOString(),
    keyType: details.namedCurve ?? key.asymmetricKeyType ?? 'unknown',
    keyBits: details.modulusLength ?? null,
    warnings: warningsFor(certificate, details.modulusLength, key.asymmetricKeyType, notAfter),
  }
}

function readCertificate({ alias, certificate }: KeystoreEntry): X509Certificate {
  try {
    if (certificate !== null) return new X509Certificate(certificate)
  } catch {
    // Falls through: a certificate that cannot be read is as good as none.
  }
  throw new KeystoreRefusal(
    'keystore-damaged',
    `The keystore has no readable certificate for the key "${shown(alias)}".`,
  )
}

function warningsFor(certificate: X509Certificate, bits: number | undefined, type: string | undefined, notAfter: Date) {
  const warnings: string[] = []
  if (bits !== undefined && bits < 2048) warnings.push(`The key has ${bits} bits; 2048 or more are advised.`)
  if (type === 'dsa') warnings.push('DSA keys are not accepted by current Android versions.')
  const weak = WEAK_SIGNATURES[signatureOf(certificate)]
  if (weak !== undefined) warnings.push(`The certificate is signed with ${weak}.`)
  if (notAfter < PLAY_MINIMUM) warnings.push('Google Play asks for a certificate that is valid beyond 22 October 2033.')
  return warnings
}

/** `Certificate ::= SEQUENCE { tbs, SEQUENCE { OID, … }, … }` */
function signatureOf({ raw }: X509Certificate): string {
  const [, algorithm] = asn1.fromDer(raw.toString('binary')).value as forge.asn1.Asn1[]
  const [oid] = (algorithm?.value ?? []) as forge.asn1.Asn1[]
  return typeof oid?.value === 'string' ? asn1.derToOid(oid.value) : ''
}

/** Text out of a file that a stranger made. */
function shown(text: string): string {
  return text.replaceAll(/[^\P{C}]/gu, '?').slice(0, 80)
}
