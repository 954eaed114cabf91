import {
  describeCertificate,
  normalize,
  readCertificate,
  readPrivateKey,
  requirePair,
  requireValidity,
} from './describe-certificate.js'
import { CredentialRefusal } from './credential-refusal.js'
import type { QuestionHead } from './file-question.js'
import type { InspectedCredential } from './inspect-file.js'
import { conversionCommand, type KeystoreEntry, type OpenedKeystore, shown } from './opened-keystore.js'
import { readPkcs12 } from './pkcs12/read-pkcs12.js'
import { readJks } from './read-jks.js'

/** What Google Play asks of an upload key. */
const PLAY_MINIMUM = new Date('2033-10-23T00:00:00Z')
const SHOWN = 10

type Access = Pick<QuestionHead, 'password' | 'keyAlias' | 'keyPassword'>

/** Opens an Android keystore and the key that is to be used, and tells what is in it. Throws `CredentialRefusal`. */
export function inspectKeystore(bytes: Buffer, access: Access, now: Date): InspectedCredential {
  const { password = '', keyAlias, keyPassword } = access
  const keystore = openKeystore(bytes, password)
  const entry = chooseEntry(keystore.entries, keyAlias)
  const storePassword = keystore.format === 'jks' ? password : undefined
  const key = readPrivateKey(entry.openKey(keyPassword ?? storePassword))
  const certificate = readCertificate(entry.certificate, entry.alias)
  requirePair(key, certificate, entry.alias)
  requireValidity(certificate, entry.alias, now)
  if (!keystore.javaReads) throw notForJava()
  const described = describeCertificate(certificate, key)
  const warnings = [...warningsFor(key.asymmetricKeyType, described.keyBits, described.notAfter), ...described.warnings]
  const debug = /(^|, )CN=Android Debug(,|$)/.test(described.subject)
  return {
    facts: {
      ...described,
      warnings,
      format: keystore.format,
      keyAlias: entry.alias,
      // The key that the Android SDK makes on every developer's machine.
      type: debug ? 'development' : 'production',
    },
    key: normalize(key, certificate, keystore.certificates),
  }
}

function openKeystore(bytes: Buffer, password: string): OpenedKeystore {
  const magic = bytes.subarray(0, 4).toString('hex')
  if (magic === 'feedfeed') return readJks(bytes, password)
  const other = foreignFormat(bytes)
  if (other !== null) {
    throw new CredentialRefusal(
      'keystore-unsupported-format',
      `This is a ${other.name} keystore. Convert it with: ${conversionCommand(other.type)}`,
    )
  }
  if (bytes[0] === 0x30 && bytes.length > 32) return readPkcs12(bytes, password)
  const kind = bytes.toString('latin1', 0, 64).includes('-----BEGIN') ? 'a PEM file' : 'no keystore'
  throw new CredentialRefusal(
    'keystore-unrecognized',
    `The file is ${kind}; a PKCS12 (.p12, .keystore) or JKS (.jks) keystore is needed.`,
  )
}

/** Refused here, where it takes a second, and not in the build that would sign with it. */
function notForJava(): CredentialRefusal {
  return new CredentialRefusal(
    'keystore-algorithm-unsupported',
    "The keystore opens, but Java's signing tools, which sign Android apps, cannot read its encryption or its password. Write it anew with a password of plain letters and digits: openssl pkcs12 -in <your file> -nodes -out key.pem && openssl pkcs12 -export -in key.pem -name <alias> -out release.p12",
  )
}

/** JCEKS by its magic; BKS by its version and the length of its salt. */
function foreignFormat(bytes: Buffer): { name: string; type: string } | null {
  if (bytes.length >= 4 && bytes.readUInt32BE(0) === 0xcececece) return { name: 'JCEKS', type: 'JCEKS' }
  if (bytes.length < 8) return null
  const [version, saltBytes] = [bytes.readUInt32BE(0), bytes.readUInt32BE(4)]
  if ((version === 1 || version === 2) && saltBytes === 20) {
    const provider = '-providerclass org.bouncycastle.jce.provider.BouncyCastleProvider -providerpath bcprov.jar'
    return { name: 'BKS', type: `BKS ${provider}` }
  }
  return null
}

/** Aliases are compared as Java does, without regard to case. */
function chooseEntry(entries: KeystoreEntry[], wanted: string | undefined): KeystoreEntry {
  const [first] = entries
  if (first === undefined) {
    throw new CredentialRefusal(
      'keystore-no-private-key',
      'The keystore holds certificates only. Upload the one that holds the private key.',
    )
  }
  const names = namesOf(entries)
  if (wanted === undefined || wanted === '') {
    if (entries.length === 1) return first
    throw new CredentialRefusal(
      'keystore-alias-not-found',
      `The keystore has several keys: ${names}. Give one as key alias.`,
    )
  }
  const found = entries.find(({ alias }) => alias.toLowerCase() === wanted.toLowerCase())
  if (found !== undefined) return found
  throw new CredentialRefusal(
    'keystore-alias-not-found',
    `The keystore has no key "${shown(wanted)}". It has: ${names}.`,
  )
}

function namesOf(entries: KeystoreEntry[]): string {
  const names = entries.map(({ alias }) => `"${shown(alias)}"`).toSorted((a, b) => a.localeCompare(b))
  const more = names.length > SHOWN ? ` and ${names.length - SHOWN} more` : ''
  return names.slice(0, SHOWN).join(', ') + more
}

function warningsFor(type: string | undefined, bits: number | null, notAfter: string): string[] {
  const warnings: string[] = []
  if (type !== 'dsa' && bits !== null && bits < 2048)
    warnings.push(`The key has ${bits} bits; 2048 or more are advised.`)
  if (type === 'dsa') warnings.push('DSA keys are not accepted by current Android versions.')
  if (new Date(notAfter) < PLAY_MINIMUM) {
    warnings.push('Google Play asks for a certificate that is valid beyond 22 October 2033.')
  }
  return warnings
}
