import { type BerNode, childAt, readOid } from '../ber.js'

const PBES2 = '1.2.840.113549.1.5.13'
/** RC4, 3DES and RC2 of PKCS#12, and PBEWithMD5AndDES. */
const SCHEMES = /^1\.2\.840\.113549\.1\.(12\.1\.[12356]|5\.3)$/
const CIPHERS = new Set(['2.16.840.1.101.3.4.1.2', '2.16.840.1.101.3.4.1.42'])
const MAC_DIGESTS = new Set([
  '1.3.14.3.2.26',
  '2.16.840.1.101.3.4.2.1',
  '2.16.840.1.101.3.4.2.2',
  '2.16.840.1.101.3.4.2.3',
  '2.16.840.1.101.3.4.2.4',
])

/** Whether the signing tools of Java 17 decrypt what this algorithm encrypted. */
export function javaDecrypts(algorithm: BerNode): boolean {
  const oid = readOid(childAt(algorithm, 0))
  if (oid !== PBES2) return SCHEMES.test(oid)
  return CIPHERS.has(readOid(childAt(childAt(childAt(algorithm, 1), 1), 0)))
}

export function javaChecks(macData: BerNode): boolean {
  return MAC_DIGESTS.has(readOid(childAt(childAt(childAt(macData, 0), 0), 0)))
}
