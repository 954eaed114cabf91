import { constants, createHash, timingSafeEqual, verify, X509Certificate } from 'node:crypto'

import { type BerNode, BerError, BerTag, childAt, expectTag, readBer, readOctets, readOid } from './ber.js'
import { CredentialRefusal } from './credential-refusal.js'

const SIGNED_DATA = '1.2.840.113549.1.7.2'
const DATA = '1.2.840.113549.1.7.1'
const CONTENT_TYPE = '1.2.840.113549.1.9.3'
const MESSAGE_DIGEST = '1.2.840.113549.1.9.4'
const RSA_PSS = '1.2.840.113549.1.1.10'
const digests: Record<string, string> = {
  '1.3.14.3.2.26': 'sha1',
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
}
const [EXPLICIT_0, IMPLICIT_1] = [0xa0, 0xa1]

export type SignedContent = { content: Buffer; signer: X509Certificate; certificates: X509Certificate[] }

/**
 * Checks the signature of CMS SignedData (RFC 5652) with one signer and signed attributes, by node:crypto alone. Whether
 * the signer is to be trusted is the caller's question.
 */
export function verifyCms(bytes: Buffer): SignedContent {
  try {
    return verifySignedData(bytes)
  } catch (error) {
    if (!(error instanceof BerError)) throw error
    throw new CredentialRefusal(
      'profile-unrecognized',
      'The file is not a provisioning profile (.mobileprovision). Download it again from the developer portal.',
    )
  }
}

function verifySignedData(bytes: Buffer): SignedContent {
  const root = expectTag(readBer(bytes), BerTag.sequence)
  if (readOid(childAt(root, 0)) !== SIGNED_DATA) throw new BerError('not signed data')
  const signedData = childAt(expectTag(childAt(root, 1), EXPLICIT_0), 0)
  const encapsulated = childAt(signedData, 2)
  if (readOid(childAt(encapsulated, 0)) !== DATA) throw new BerError('not plain content')
  const content = readOctets(childAt(expectTag(childAt(encapsulated, 1), EXPLICIT_0), 0))
  const certificates = (signedData.children.find(({ tag }) => tag === EXPLICIT_0)?.children ?? []).flatMap(
    readCertificate,
  )
  const signerInfos = expectTag(signedData.children.at(-1) ?? root, BerTag.set).children
  const [signerInfo] = signerInfos
  if (signerInfo === undefined || signerInfos.length !== 1) throw invalid('It must have exactly one signature.')
  const signer = certificates.find((certificate) => isNamedBy(certificate, childAt(signerInfo, 1)))
  if (signer === undefined) throw invalid("The signer's certificate is missing.")
  checkSignature(signerInfo, content, signer)
  return { content, signer, certificates }
}

function checkSignature(signerInfo: BerNode, content: Buffer, signer: X509Certificate): void {
  const digest = digests[readOid(childAt(childAt(signerInfo, 2), 0))]
  const attributes = childAt(signerInfo, 3)
  if (digest === undefined) throw invalid('Its digest algorithm is not supported.')
  // Without signed attributes the same signature could be shown for attributes as content.
  if (attributes.tag !== EXPLICIT_0) throw invalid('It has no signed attributes.')
  const stated = readOctets(expectTag(attributeOf(attributes, MESSAGE_DIGEST), BerTag.octetString))
  const actual = createHash(digest).update(content).digest()
  if (readOid(attributeOf(attributes, CONTENT_TYPE)) !== DATA) throw invalid('It is of another type.')
  if (stated.length !== actual.length || !timingSafeEqual(stated, actual)) {
    throw invalid('Its content was changed after it was signed.')
  }
  // What is signed is the SET OF attributes; inside SignerInfo it carries an implicit tag in place of its own.
  const signed = Buffer.concat([Buffer.from([BerTag.set]), attributes.raw.subarray(1)])
  const padding = readOid(childAt(childAt(signerInfo, 4), 0)) === RSA_PSS ? constants.RSA_PKCS1_PSS_PADDING : undefined
  if (!verifies(digest, signed, { signer, padding }, readOctets(childAt(signerInfo, 5)))) {
    throw invalid('The signature does not verify.')
  }
}

type Verifier = { signer: X509Certificate; padding: number | undefined }

function verifies(digest: string, signed: Buffer, { signer, padding }: Verifier, signature: Buffer): boolean {
  try {
    const key = signer.publicKey
    return verify(digest, signed, padding === undefined ? key : { key, padding }, signature)
  } catch {
    // A key that cannot be read verifies nothing.
    return false
  }
}

function attributeOf(attributes: BerNode, oid: string): BerNode {
  const found = attributes.children.filter((attribute) => readOid(childAt(attribute, 0)) === oid)
  const [attribute] = found
  if (attribute === undefined || found.length !== 1) throw invalid('A signed attribute is missing.')
  return childAt(expectTag(childAt(attribute, 1), BerTag.set), 0)
}

/** `SignerIdentifier`: issuer and serial number, or subject key identifier. */
function isNamedBy(certificate: X509Certificate, identifier: BerNode): boolean {
  const tbs = childAt(readBer(certificate.raw), 0)
  const offset = tbs.children[0]?.tag === EXPLICIT_0 ? 1 : 0
  if (identifier.tag === BerTag.sequence) {
    const [serial, issuer] = [childAt(tbs, offset), childAt(tbs, offset + 2)]
    return childAt(identifier, 0).raw.equals(issuer.raw) && childAt(identifier, 1).raw.equals(serial.raw)
  }
  return subjectKeyId(tbs)?.equals(readOctets(identifier)) ?? false
}

function subjectKeyId(tbs: BerNode): Buffer | null {
  const extensions = tbs.children.find(({ tag }) => tag === 0xa3)?.children[0]?.children ?? []
  const own = extensions.find((extension) => readOid(childAt(extension, 0)) === '2.5.29.14')
  const value = own?.children.at(-1)
  return value === undefined ? null : readOctets(readBer(readOctets(value)))
}

function readCertificate(node: BerNode): X509Certificate[] {
  if (node.tag === IMPLICIT_1) return []
  try {
    return [new X509Certificate(node.raw)]
  } catch {
    return []
  }
}

function invalid(reason: string): CredentialRefusal {
  return new CredentialRefusal(
    'profile-signature-invalid',
    `The signature of the provisioning profile is not valid. ${reason} Download the profile again from the developer portal.`,
  )
}
