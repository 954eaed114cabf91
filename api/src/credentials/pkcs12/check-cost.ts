import { type BerNode, BerError, BerTag, childAt, readBer, readInteger, readOctets, readOid } from '../ber.js'
import { DerivationBudget } from '../derivation-budget.js'

const PBES2 = '1.2.840.113549.1.5.13'
const PBKDF2 = '1.2.840.113549.1.5.12'
const PKCS12_PBE = '1.2.840.113549.1.12.1.'
const PBES1 = /^1\.2\.840\.113549\.1\.5\.\d$|^1\.2\.840\.113549\.1\.5\.1[01]$/
const MAX_NESTING = 8

/** Reads every iteration count that can be seen without the password, before any key is derived with one of them. */
export function checkCost(node: BerNode, nesting = 0): void {
  const [first, parameters] = node.children
  if (first?.tag === BerTag.oid && parameters !== undefined) checkAlgorithm(readOid(first), parameters)
  for (const child of node.children) checkCost(child, nesting)
  // The contents of a keystore are DER inside octet strings.
  const nested = nesting < MAX_NESTING ? nestedIn(node) : null
  if (nested !== null) checkCost(nested, nesting + 1)
}

function checkAlgorithm(oid: string, parameters: BerNode): void {
  const counted = oid === PBKDF2 || oid.startsWith(PKCS12_PBE) || (PBES1.test(oid) && oid !== PBES2 && oid !== PBKDF2)
  if (!counted) return
  const count = parameters.children[1]
  if (count?.tag === BerTag.integer) DerivationBudget.check(readInteger(count))
}

/** `MacData ::= SEQUENCE { mac, salt, iterations }` */
export function checkMacCost(macData: BerNode): void {
  const count = macData.children[2]
  if (count !== undefined) DerivationBudget.check(readInteger(count))
  checkCost(childAt(macData, 0))
}

function nestedIn(node: BerNode): BerNode | null {
  if (node.tag !== BerTag.octetString && node.tag !== (BerTag.octetString | 0x20)) return null
  const octets = readOctets(node)
  if (octets[0] !== BerTag.sequence) return null
  try {
    return readBer(octets)
  } catch (error) {
    if (error instanceof BerError) return null
    throw error
  }
}
