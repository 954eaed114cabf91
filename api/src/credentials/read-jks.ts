import { createHash, timingSafeEqual } from 'node:crypto'

import { BerError, BerTag, childAt, expectTag, readBer, readOctets, readOid } from './ber.js'
import { CredentialRefusal } from './credential-refusal.js'
import { type KeystoreEntry, type OpenedKeystore, shown } from './opened-keystore.js'

const DIGEST_BYTES = 20
const SUN_KEY_PROTECTOR = '1.3.6.1.4.1.42.2.17.1.1'
const MAX_ENTRIES = 1000

/** Sun's JKS: the integrity digest is checked over all bytes before any of them is interpreted. */
export function readJks(bytes: Buffer, password: string): OpenedKeystore {
  const content = bytes.subarray(0, -DIGEST_BYTES)
  const expected = sha1(utf16(password), Buffer.from('Mighty Aphrodite', 'utf8'), content)
  if (bytes.length < 32 || !timingSafeEqual(expected, bytes.subarray(-DIGEST_BYTES))) {
    throw new CredentialRefusal('keystore-password-wrong', 'The keystore password is wrong, or the file is damaged.')
  }
  return { format: 'jks', javaReads: true, ...readEntries(new Cursor(content)) }
}

function readEntries(cursor: Cursor): Pick<OpenedKeystore, 'entries' | 'certificates'> {
  cursor.skip(4)
  const version = cursor.u32()
  const count = cursor.u32()
  if (version > 2 || count > MAX_ENTRIES) throw damaged()
  const entries: KeystoreEntry[] = []
  const certificates: Buffer[] = []
  for (let index = 0; index < count; index += 1) {
    const tag = cursor.u32()
    const alias = cursor.text()
    cursor.skip(8)
    if (tag === 1) {
      const sealed = cursor.bytes(cursor.u32())
      const chain = Array.from({ length: Math.min(cursor.u32(), 100) }, () => readCertificate(cursor, version))
      certificates.push(...chain)
      entries.push({
        alias,
        certificate: chain[0] ?? null,
        openKey: (keyPassword) => openKey(alias, sealed, keyPassword),
      })
    } else if (tag === 2) {
      readCertificate(cursor, version)
    } else {
      throw damaged()
    }
  }
  return { entries, certificates }
}

function readCertificate(cursor: Cursor, version: number): Buffer {
  if (version === 2 && cursor.text() !== 'X.509') throw damaged()
  return cursor.bytes(cursor.u32())
}

/** Sun's key protector: SHA-1 keystream from password and salt, then a SHA-1 check of the key. */
function openKey(alias: string, sealed: Buffer, keyPassword = ''): Buffer {
  const protectedKey = unwrap(sealed)
  const salt = protectedKey.subarray(0, DIGEST_BYTES)
  const encrypted = protectedKey.subarray(DIGEST_BYTES, -DIGEST_BYTES)
  const check = protectedKey.subarray(-DIGEST_BYTES)
  if (protectedKey.length <= 2 * DIGEST_BYTES) throw damaged()
  const password = utf16(keyPassword)
  const key = Buffer.alloc(encrypted.length)
  let block = salt
  for (let offset = 0; offset < encrypted.length; offset += DIGEST_BYTES) {
    block = sha1(password, block)
    for (let index = offset; index < Math.min(offset + DIGEST_BYTES, encrypted.length); index += 1) {
      key.writeUInt8(encrypted.readUInt8(index) ^ block.readUInt8(index - offset), index)
    }
  }
  if (!timingSafeEqual(sha1(password, key), check)) {
    throw new CredentialRefusal(
      'key-password-wrong',
      `The password of the key "${shown(alias)}" is wrong. If it differs from the keystore's, give it as the key password.`,
    )
  }
  return key
}

/** `EncryptedPrivateKeyInfo ::= SEQUENCE { SEQUENCE { OID, … }, OCTET STRING }` */
function unwrap(sealed: Buffer): Buffer {
  try {
    const root = readBer(sealed)
    if (readOid(childAt(childAt(root, 0), 0)) !== SUN_KEY_PROTECTOR) throw damaged()
    return readOctets(expectTag(childAt(root, 1), BerTag.octetString))
  } catch (error) {
    throw error instanceof BerError ? damaged() : error
  }
}

class Cursor {
  readonly #bytes: Buffer
  #offset = 0
  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }
  bytes(length: number): Buffer {
    if (this.#offset + length > this.#bytes.length) throw damaged()
    this.#offset += length
    return this.#bytes.subarray(this.#offset - length, this.#offset)
  }
  skip(length: number): void {
    this.bytes(length)
  }
  u32(): number {
    return this.bytes(4).readUInt32BE()
  }
  text(): string {
    return this.bytes(this.bytes(2).readUInt16BE()).toString('utf8')
  }
}

function sha1(...parts: Uint8Array[]): Buffer {
  const hash = createHash('sha1')
  for (const part of parts) hash.update(part)
  return hash.digest()
}

/** Java hashes passwords as big-endian UTF-16. */
function utf16(text: string): Buffer {
  return Buffer.from(text, 'utf16le').swap16()
}

function damaged(): CredentialRefusal {
  return new CredentialRefusal('keystore-damaged', 'The keystore is damaged. Upload it again from the original file.')
}
