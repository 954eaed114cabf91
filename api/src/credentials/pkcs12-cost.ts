import forge from 'node-forge'

import { KeystoreRefusal } from './keystore-verdict.js'

const { asn1, pki } = forge
type Node = forge.asn1.Asn1

const MAX_ITERATIONS = 1_000_000
const MAX_DEPTH = 32
const PBES2 = '1.2.840.113549.1.5.13'
const PKCS12_PBE = '1.2.840.113549.1.12.1.'

/** Reads every iteration count that can be seen without the password, before any key is derived with one of them. */
export function checkPkcs12Cost(root: Node): void {
  const [version, authSafe, macInfo] = childrenOf(root)
  const [contentType] = authSafe === undefined ? [] : childrenOf(authSafe)
  if (version === undefined || contentType === undefined || oidOf(contentType) !== pki.oids.data) {
    throw new KeystoreRefusal('keystore-unrecognized', 'The file is not a PKCS12 keystore.')
  }
  if (macInfo === undefined) {
    throw new KeystoreRefusal(
      'keystore-unsupported-format',
      'The keystore has no integrity check (MAC), so changes to it would go unnoticed. Export it again without -nomac.',
    )
  }
  const macIterations = childrenOf(macInfo)[2]
  const counts = [...(macIterations === undefined ? [] : [integerOf(macIterations)]), ...iterationsIn(root, 0)]
  if (counts.some((count) => count > MAX_ITERATIONS)) throw tooCostly()
}

function tooCostly(): KeystoreRefusal {
  return new KeystoreRefusal(
    'keystore-too-costly',
    'The keystore asks for too many key-derivation rounds. Export it again with fewer, for example 10000.',
  )
}

/** Follows octet strings too: the contents of a keystore are DER inside DER. */
function iterationsIn(node: Node, depth: number): number[] {
  if (depth > MAX_DEPTH) return []
  const children = childrenOf(node)
  const nested = children.length > 0 ? children : nestedIn(node)
  const [first, parameters] = children
  const oid = first === undefined ? null : oidOf(first)
  const own = oid === null || parameters === undefined ? [] : ownIterations(oid, parameters)
  return [...own, ...nested.flatMap((child) => iterationsIn(child, depth + 1))]
}

function ownIterations(oid: string, parameters: Node): number[] {
  let count: Node | undefined
  if (oid.startsWith(PKCS12_PBE)) count = childrenOf(parameters)[1]
  if (oid === PBES2) {
    const [kdf] = childrenOf(parameters)
    const kdfParameters = kdf === undefined ? undefined : childrenOf(kdf)[1]
    count = kdfParameters === undefined ? undefined : childrenOf(kdfParameters)[1]
  }
  return count === undefined ? [] : [integerOf(count)]
}

function nestedIn(node: Node): Node[] {
  if (node.type !== asn1.Type.OCTETSTRING || typeof node.value !== 'string' || !node.value.startsWith('0')) return []
  try {
    return [asn1.fromDer(node.value, { maxDepth: MAX_DEPTH } as unknown as boolean)]
  } catch {
    return []
  }
}

function integerOf(node: Node): number {
  if (node.type !== asn1.Type.INTEGER || typeof node.value !== 'string' || node.value.length > 6) return Infinity
  return Buffer.from(node.value, 'binary').readUIntBE(0, node.value.length)
}

function oidOf(node: Node): string | null {
  return node.type === asn1.Type.OID && typeof node.value === 'string' ? asn1.derToOid(node.value) : null
}

function childrenOf(node: Node): Node[] {
  return Array.isArray(node.value) ? node.value : []
}
