import { createHash } from 'node:crypto'

import forge from 'node-forge'

import { conversionCommand, type KeystoreEntry, KeystoreRefusal, type OpenedKeystore } from './keystore-verdict.js'
import { checkPkcs12Cost } from './pkcs12-cost.js'

const { asn1, pkcs12, pki } = forge
const MAX_DEPTH = 32

/** PKCS#12, read by node-forge in the bounded child. Its MAC must be there and right; costs are read before they are paid. */
export function readPkcs12(bytes: Buffer, password: string): OpenedKeystore {
  const root = parse(bytes)
  checkPkcs12Cost(root)
  const { safeContents } = open(root, password)
  const bags = safeContents.flatMap(({ safeBags }) => safeBags)
  const certificates = bags.filter(({ type }) => type === pki.oids.certBag).map(describeCertificate)
  let unnamed = 0
  const entries = bags
    .filter(({ type }) => type === pki.oids.pkcs8ShroudedKeyBag || type === pki.oids.keyBag)
    .map((bag): KeystoreEntry => {
      // Java counts what has no name: the first such key is "1".
      const alias = attribute(bag, 'friendlyName') ?? String((unnamed += 1))
      const key = pkcs8Of(bag)
      const own = certificates.filter(({ keyId }) => keyId !== undefined && keyId === attribute(bag, 'localKeyId'))
      const certificate = (own[0] ?? (certificates.length === 1 ? certificates[0] : undefined))?.der ?? null
      return {
        alias,
        certificate,
        openKey: (keyPassword) => {
          if (keyPassword === undefined || keyPassword === password) return key
          throw new KeystoreRefusal(
            'key-password-wrong',
            "In a PKCS12 keystore a key has the keystore's own password: leave the key password out.",
          )
        },
      }
    })
  return { format: 'pkcs12', entries }
}

function parse(bytes: Buffer): forge.asn1.Asn1 {
  try {
    return asn1.fromDer(bytes.toString('binary'), { maxDepth: MAX_DEPTH } as unknown as boolean)
  } catch {
    throw new KeystoreRefusal(
      'keystore-unrecognized',
      'The file is not a complete PKCS12 keystore. Upload the original file, unchanged.',
    )
  }
}

function open(root: forge.asn1.Asn1, password: string): forge.pkcs12.Pkcs12Pfx {
  try {
    return pkcs12.pkcs12FromAsn1(root, true, password)
  } catch (error) {
    const reason = error instanceof Error ? error.message : ''
    if (/MAC could not be verified/.test(reason)) {
      throw new KeystoreRefusal('keystore-password-wrong', 'The keystore password is wrong.')
    }
    if (/unsupported|not supported|Unknown/i.test(reason)) {
      throw new KeystoreRefusal(
        'keystore-unsupported-format',
        `The keystore uses an algorithm that is not supported. Convert it with: ${conversionCommand('PKCS12')}`,
      )
    }
    if (/[^ -~]/.test(password)) {
      throw new KeystoreRefusal(
        'keystore-unsupported-format',
        'The password has characters outside ASCII, which this keystore cannot be read with. Change it with keytool -storepasswd.',
      )
    }
    throw new KeystoreRefusal('keystore-damaged', 'The keystore is damaged. Upload it again from the original file.')
  }
}

/** node-forge knows RSA only; other keys stay ASN.1, which is all that is needed. */
function pkcs8Of(bag: forge.pkcs12.Bag): Buffer {
  const node = bag.key ? pki.wrapRsaPrivateKey(pki.privateKeyToAsn1(bag.key)) : bag.asn1
  return Buffer.from(asn1.toDer(node).getBytes(), 'binary')
}

function describeCertificate(bag: forge.pkcs12.Bag): { der: Buffer; keyId: string | undefined } {
  const node = bag.cert ? pki.certificateToAsn1(bag.cert) : bag.asn1
  const der = Buffer.from(asn1.toDer(node).getBytes(), 'binary')
  return { der, keyId: attribute(bag, 'localKeyId') }
}

function attribute(bag: forge.pkcs12.Bag, name: 'friendlyName' | 'localKeyId'): string | undefined {
  const values = (bag.attributes as Record<string, unknown[] | undefined> | undefined)?.[name]
  const value = values?.[0]
  if (typeof value !== 'string') return undefined
  return name === 'friendlyName' ? value : createHash('sha256').update(value, 'binary').digest('hex')
}
