import { createHmac, timingSafeEqual } from 'node:crypto'

import { type BerNode, BerTag, childAt, expectTag, readInteger, readOctets, readOid } from '../ber.js'
import type { DerivationBudget } from '../derivation-budget.js'
import { derivePbkdf2, type PbePassword, unsupported } from './decrypt-pbe.js'
import { derivePkcs12Key, KeyPurpose } from './derive-key.js'
import type { PasswordForms } from './passwords.js'

const digests: Record<string, { name: string; bytes: number }> = {
  '1.2.840.113549.2.5': { name: 'md5', bytes: 16 },
  '1.3.14.3.2.26': { name: 'sha1', bytes: 20 },
  '2.16.840.1.101.3.4.2.4': { name: 'sha224', bytes: 28 },
  '2.16.840.1.101.3.4.2.1': { name: 'sha256', bytes: 32 },
  '2.16.840.1.101.3.4.2.2': { name: 'sha384', bytes: 48 },
  '2.16.840.1.101.3.4.2.3': { name: 'sha512', bytes: 64 },
}
const PBMAC1 = '1.2.840.113549.1.5.14'
const hmacs: Record<string, string> = {
  '1.2.840.113549.2.8': 'sha224',
  '1.2.840.113549.2.9': 'sha256',
  '1.2.840.113549.2.10': 'sha384',
  '1.2.840.113549.2.11': 'sha512',
}

/** Checks `MacData` over the content with each form of the password; null when none of them fits. */
export function findPassword(
  macData: BerNode,
  content: Buffer,
  forms: PasswordForms,
  budget: DerivationBudget,
): PbePassword | null {
  const digestInfo = childAt(macData, 0)
  const algorithm = childAt(digestInfo, 0)
  const expected = readOctets(expectTag(childAt(digestInfo, 1), BerTag.octetString))
  const oid = readOid(childAt(algorithm, 0))
  const [bytes = Buffer.alloc(0)] = forms.bytes
  const [usual = Buffer.alloc(0)] = forms.bmp
  if (oid === PBMAC1) {
    const found = forms.bytes.find((form) => sameMac(pbmac1(childAt(algorithm, 1), form, content, budget), expected))
    return found === undefined ? null : { bmp: usual, bytes: found }
  }
  const digest = digests[oid]
  if (digest === undefined) throw unsupported(oid)
  const salt = readOctets(expectTag(childAt(macData, 1), BerTag.octetString))
  const rounds = macData.children[2] === undefined ? 1 : readInteger(macData.children[2])
  const found = forms.bmp.find((password) => {
    const derivation = { digest: digest.name, password, salt, iterations: budget.spend(rounds) }
    const key = derivePkcs12Key(derivation, KeyPurpose.mac, digest.bytes)
    return sameMac(createHmac(digest.name, key).update(content).digest(), expected)
  })
  return found === undefined ? null : { bmp: found, bytes }
}

/** RFC 9579. */
function pbmac1(parameters: BerNode, password: Buffer, content: Buffer, budget: DerivationBudget): Buffer {
  const oid = readOid(childAt(childAt(parameters, 1), 0))
  const digest = hmacs[oid]
  if (digest === undefined) throw unsupported(oid)
  const kdf = childAt(parameters, 0)
  const stated = childAt(kdf, 1).children.find(({ tag }, index) => index > 1 && tag === BerTag.integer)
  if (stated === undefined) throw unsupported(oid)
  const keyBytes = Math.min(readInteger(stated), 1024)
  return createHmac(digest, derivePbkdf2(kdf, password, keyBytes, budget))
    .update(content)
    .digest()
}

function sameMac(actual: Buffer, expected: Buffer): boolean {
  return actual.length === expected.length && timingSafeEqual(actual, expected)
}
