import {
  type BerNode,
  BerError,
  BerTag,
  childAt,
  expectTag,
  readBer,
  readInteger,
  readOctets,
  readOid,
} from '../ber.js'
import { DerivationBudget } from '../derivation-budget.js'
import { CredentialRefusal } from '../credential-refusal.js'
import type { KeystoreEntry, OpenedKeystore } from '../opened-keystore.js'
import { checkCost, checkMacCost } from './check-cost.js'
import { decryptPbe, type PbePassword } from './decrypt-pbe.js'
import { javaChecks, javaDecrypts } from './java-reads.js'
import { passwordForms } from './passwords.js'
import { findPassword } from './verify-mac.js'

const DATA = '1.2.840.113549.1.7.1'
const ENCRYPTED_DATA = '1.2.840.113549.1.7.6'
const KEY_BAG = '1.2.840.113549.1.12.10.1.1'
const SHROUDED_KEY_BAG = '1.2.840.113549.1.12.10.1.2'
const CERTIFICATE_BAG = '1.2.840.113549.1.12.10.1.3'
const SAFE_CONTENTS_BAG = '1.2.840.113549.1.12.10.1.6'
const X509_CERTIFICATE = '1.2.840.113549.1.9.22.1'
const FRIENDLY_NAME = '1.2.840.113549.1.9.20'
const LOCAL_KEY_ID = '1.2.840.113549.1.9.21'
const EXPLICIT = 0xa0
const MAX_BAGS = 1000

type Bag = { type: string; value: BerNode; name: string | undefined; keyId: string | undefined }

/**
 * PKCS#12 (RFC 7292) with every encryption that OpenSSL, keytool and Keychain write, read in the bounded child. Its MAC
 * must be there and right before its contents are looked at; costs are read before they are paid.
 */
export function readPkcs12(bytes: Buffer, password: string): OpenedKeystore {
  const { content, macData } = readOuter(bytes)
  const budget = new DerivationBudget()
  const forms = passwordForms(password)
  const found = findPassword(macData, content, forms, budget)
  if (found === null) throw new CredentialRefusal('keystore-password-wrong', 'The keystore password is wrong.')
  const tries = [
    found,
    ...forms.bytes.filter((form) => form !== found.bytes).map((form) => ({ ...found, bytes: form })),
  ]
  try {
    const bags = readBer(content).children.flatMap((info) => readContent(info, tries, budget))
    const javaReads =
      javaChecks(macData) && /^[ -~]*$/.test(password) && algorithmsOf(content, bags).every(javaDecrypts)
    return { format: 'pkcs12', javaReads, ...collect(bags, { tries, password, budget }) }
  } catch (error) {
    throw error instanceof BerError ? damaged() : error
  }
}

/** Refuses, before a key is derived, what is not PKCS#12, has no MAC or costs too much. */
export function readOuter(bytes: Buffer): { content: Buffer; macData: BerNode } {
  try {
    const root = expectTag(readBer(bytes), BerTag.sequence)
    const authSafe = expectTag(childAt(root, 1), BerTag.sequence)
    if (readInteger(childAt(root, 0)) !== 3 || readOid(childAt(authSafe, 0)) !== DATA) throw new BerError('no PFX')
    const content = readOctets(childAt(childAt(authSafe, 1), 0))
    checkCost(readBer(content))
    const macData = root.children[2]
    if (macData === undefined) {
      throw new CredentialRefusal(
        'keystore-mac-missing',
        'The file has no integrity check (MAC), so changes to it would go unnoticed. Export it again without -nomac.',
      )
    }
    checkMacCost(macData)
    return { content, macData }
  } catch (error) {
    if (!(error instanceof BerError)) throw error
    throw new CredentialRefusal(
      'keystore-unrecognized',
      'The file is not a complete PKCS12 keystore. Upload the original file, unchanged.',
    )
  }
}

/** Every algorithm under which something of the file is encrypted; a key that is not encrypted counts as its own. */
function algorithmsOf(content: Buffer, bags: Bag[]): BerNode[] {
  const encrypted = readBer(content).children.filter((info) => readOid(childAt(info, 0)) === ENCRYPTED_DATA)
  const safes = encrypted.map((info) => childAt(childAt(childAt(childAt(info, 1), 0), 1), 1))
  const keys = bags.flatMap(({ type, value }) => {
    if (type === SHROUDED_KEY_BAG) return [childAt(value, 0)]
    return type === KEY_BAG ? [childAt(value, 1)] : []
  })
  return [...safes, ...keys]
}

/** One `ContentInfo` of the `AuthenticatedSafe`. */
function readContent(info: BerNode, tries: PbePassword[], budget: DerivationBudget): Bag[] {
  const type = readOid(childAt(info, 0))
  const value = childAt(expectTag(childAt(info, 1), EXPLICIT), 0)
  if (type === DATA) return readBags(readBer(readOctets(value)))
  if (type !== ENCRYPTED_DATA) {
    throw new CredentialRefusal(
      'keystore-algorithm-unsupported',
      'The file is encrypted for a recipient, not with a password. Export it again with a password.',
    )
  }
  const encrypted = childAt(value, 1)
  return openWith(tries, budget, childAt(encrypted, 1), readOctets(childAt(encrypted, 2)), readBags)
}

/** Decrypts with the first form of the password that yields something readable. */
function openWith<T>(
  tries: PbePassword[],
  budget: DerivationBudget,
  algorithm: BerNode,
  ciphertext: Buffer,
  read: (node: BerNode) => T,
): T {
  for (const password of tries) {
    const plain = decryptPbe(algorithm, password, ciphertext, budget)
    if (plain === null) continue
    try {
      const node = readBer(plain)
      checkCost(node)
      return read(node)
    } catch (error) {
      if (!(error instanceof BerError)) throw error
    }
  }
  // The MAC fits, so the password is right: it was encrypted with another one, or with other characters.
  throw new CredentialRefusal(
    'keystore-password-encoding',
    'The password fits, but the contents are encrypted with another one. Export the file again with a password of plain letters and digits.',
  )
}

function readBags(safeContents: BerNode): Bag[] {
  if (safeContents.children.length > MAX_BAGS) throw damaged()
  return expectTag(safeContents, BerTag.sequence).children.flatMap((bag) => {
    const type = readOid(childAt(bag, 0))
    const value = childAt(expectTag(childAt(bag, 1), EXPLICIT), 0)
    if (type === SAFE_CONTENTS_BAG) return readBags(value)
    const attributes = bag.children[2]
    const name = attribute(attributes, FRIENDLY_NAME)
    return [
      {
        type,
        value,
        name: name === undefined ? undefined : Buffer.from(name.content).swap16().toString('utf16le'),
        keyId: attribute(attributes, LOCAL_KEY_ID)?.content.toString('hex'),
      },
    ]
  })
}

function attribute(attributes: BerNode | undefined, oid: string): BerNode | undefined {
  const found = attributes?.children.find((item) => readOid(childAt(item, 0)) === oid)
  const value = found === undefined ? undefined : childAt(found, 1).children[0]
  return value !== undefined && value.content.length % 2 === 1 && oid === FRIENDLY_NAME ? undefined : value
}

type Opening = { tries: PbePassword[]; password: string; budget: DerivationBudget }

function collect(bags: Bag[], opening: Opening): Pick<OpenedKeystore, 'entries' | 'certificates'> {
  const certificates = bags.flatMap((bag) => {
    if (bag.type !== CERTIFICATE_BAG || readOid(childAt(bag.value, 0)) !== X509_CERTIFICATE) return []
    return [{ der: readOctets(childAt(childAt(bag.value, 1), 0)), keyId: bag.keyId }]
  })
  let unnamed = 0
  const entries = bags
    .filter(({ type }) => type === KEY_BAG || type === SHROUDED_KEY_BAG)
    .map((bag): KeystoreEntry => {
      // Java counts what has no name: the first such key is "1".
      const alias = bag.name ?? String((unnamed += 1))
      const own = certificates.find(({ keyId }) => keyId !== undefined && keyId === bag.keyId)
      const only = certificates.length === 1 ? certificates[0] : undefined
      return {
        alias,
        certificate: (own ?? only)?.der ?? null,
        openKey: (keyPassword) => {
          if (keyPassword === undefined || keyPassword === opening.password) return openBag(bag, opening)
          throw new CredentialRefusal(
            'key-password-wrong',
            "In a PKCS12 keystore a key has the keystore's own password: leave the key password out.",
          )
        },
      }
    })
  return { entries, certificates: certificates.map(({ der }) => der) }
}

/** PKCS#8 of a key bag. */
function openBag({ type, value }: Bag, { tries, budget }: Opening): Buffer {
  if (type === KEY_BAG) return value.raw
  try {
    return openWith(tries, budget, childAt(value, 0), readOctets(childAt(value, 1)), ({ raw }) => raw)
  } catch (error) {
    throw error instanceof BerError ? damaged() : error
  }
}

function damaged(): CredentialRefusal {
  return new CredentialRefusal('keystore-damaged', 'The keystore is damaged. Upload it again from the original file.')
}
