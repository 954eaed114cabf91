import { createDecipheriv, createHash, hash, pbkdf2Sync } from 'node:crypto'

import { type BerNode, BerTag, childAt, expectTag, readInteger, readOctets, readOid } from '../ber.js'
import type { DerivationBudget } from '../derivation-budget.js'
import { CredentialRefusal } from '../credential-refusal.js'
import { derivePkcs12Key, KeyPurpose } from './derive-key.js'
import { decryptRc2 } from './rc2.js'
import { decryptRc4 } from './rc4.js'

export type PbePassword = { bmp: Buffer; bytes: Buffer }
type Cipher = { keyBytes: number; ivBytes: number; decrypt(key: Buffer, iv: Buffer, ciphertext: Buffer): Buffer }

const PBES2 = '1.2.840.113549.1.5.13'
const PBKDF2 = '1.2.840.113549.1.5.12'

const blockCipher = (name: string, keyBytes: number, ivBytes: number): Cipher => ({
  keyBytes,
  ivBytes,
  decrypt: (key, iv, ciphertext) => {
    // The tag length says nothing about CBC; every decipher of this code base states it.
    const decipher = createDecipheriv(name, key, iv, { authTagLength: 16 } as object).setAutoPadding(false)
    return unpad(Buffer.concat([decipher.update(wholeBlocks(ciphertext, ivBytes)), decipher.final()]), ivBytes)
  },
})
const rc2 = (keyBytes: number, bits: number): Cipher => ({
  keyBytes,
  ivBytes: 8,
  decrypt: (key, iv, ciphertext) => unpad(decryptRc2(key, bits, iv, wholeBlocks(ciphertext, 8)), 8),
})
const rc4 = (keyBytes: number): Cipher => ({
  keyBytes,
  ivBytes: 0,
  decrypt: (key, _iv, ciphertext) => decryptRc4(key, ciphertext),
})
/** DES is 3DES with three equal keys. */
const des: Cipher = {
  keyBytes: 8,
  ivBytes: 8,
  decrypt: (key, iv, ciphertext) =>
    blockCipher('des-ede3-cbc', 24, 8).decrypt(Buffer.concat([key, key, key]), iv, ciphertext),
}
/** Two-key 3DES. */
const des2: Cipher = {
  keyBytes: 16,
  ivBytes: 8,
  decrypt: (key, iv, ciphertext) =>
    blockCipher('des-ede3-cbc', 24, 8).decrypt(Buffer.concat([key, key.subarray(0, 8)]), iv, ciphertext),
}

/** RFC 7292 appendix C, all with SHA-1. */
const pkcs12Schemes: Record<string, Cipher> = {
  '1.2.840.113549.1.12.1.1': rc4(16),
  '1.2.840.113549.1.12.1.2': rc4(5),
  '1.2.840.113549.1.12.1.3': blockCipher('des-ede3-cbc', 24, 8),
  '1.2.840.113549.1.12.1.4': des2,
  '1.2.840.113549.1.12.1.5': rc2(16, 128),
  '1.2.840.113549.1.12.1.6': rc2(5, 40),
}
/** RFC 8018 PBES1. */
const pbes1Schemes: Record<string, { digest: string; cipher: Cipher }> = {
  '1.2.840.113549.1.5.3': { digest: 'md5', cipher: des },
  '1.2.840.113549.1.5.6': { digest: 'md5', cipher: rc2(8, 64) },
  '1.2.840.113549.1.5.10': { digest: 'sha1', cipher: des },
  '1.2.840.113549.1.5.11': { digest: 'sha1', cipher: rc2(8, 64) },
}
const pbes2Ciphers: Record<string, Cipher> = {
  '2.16.840.1.101.3.4.1.2': blockCipher('aes-128-cbc', 16, 16),
  '2.16.840.1.101.3.4.1.22': blockCipher('aes-192-cbc', 24, 16),
  '2.16.840.1.101.3.4.1.42': blockCipher('aes-256-cbc', 32, 16),
  '1.2.392.200011.61.1.1.1.2': blockCipher('camellia-128-cbc', 16, 16),
  '1.2.392.200011.61.1.1.1.3': blockCipher('camellia-192-cbc', 24, 16),
  '1.2.392.200011.61.1.1.1.4': blockCipher('camellia-256-cbc', 32, 16),
  '1.2.410.200046.1.1.2': blockCipher('aria-128-cbc', 16, 16),
  '1.2.410.200046.1.1.7': blockCipher('aria-192-cbc', 24, 16),
  '1.2.410.200046.1.1.12': blockCipher('aria-256-cbc', 32, 16),
  '1.2.840.113549.3.7': blockCipher('des-ede3-cbc', 24, 8),
}
const prfs: Record<string, string> = {
  '1.2.840.113549.2.7': 'sha1',
  '1.2.840.113549.2.8': 'sha224',
  '1.2.840.113549.2.9': 'sha256',
  '1.2.840.113549.2.10': 'sha384',
  '1.2.840.113549.2.11': 'sha512',
  '1.2.840.113549.2.12': 'sha512-224',
  '1.2.840.113549.2.13': 'sha512-256',
}

/** Decrypts under `AlgorithmIdentifier`; null when padding says that the password is another one. */
export function decryptPbe(
  algorithm: BerNode,
  password: PbePassword,
  ciphertext: Buffer,
  budget: DerivationBudget,
): Buffer | null {
  const oid = readOid(childAt(algorithm, 0))
  try {
    if (oid === PBES2) return decryptPbes2(childAt(algorithm, 1), password.bytes, ciphertext, budget)
    const salt = readOctets(expectTag(childAt(childAt(algorithm, 1), 0), BerTag.octetString))
    const iterations = budget.spend(readInteger(childAt(childAt(algorithm, 1), 1)))
    const scheme = pkcs12Schemes[oid]
    if (scheme !== undefined) {
      const derivation = { digest: 'sha1', password: password.bmp, salt, iterations }
      const key = derivePkcs12Key(derivation, KeyPurpose.key, scheme.keyBytes)
      const iv = derivePkcs12Key(derivation, KeyPurpose.iv, scheme.ivBytes)
      return scheme.decrypt(key, iv, ciphertext)
    }
    const old = pbes1Schemes[oid]
    if (old === undefined) throw unsupported(oid)
    let derived = createHash(old.digest).update(password.bytes).update(salt).digest()
    for (let round = 1; round < iterations; round += 1) derived = createHash(old.digest).update(derived).digest()
    return old.cipher.decrypt(derived.subarray(0, 8), derived.subarray(8, 16), ciphertext)
  } catch (error) {
    if (error instanceof BadPadding) return null
    throw error
  }
}

function decryptPbes2(parameters: BerNode, password: Buffer, ciphertext: Buffer, budget: DerivationBudget): Buffer {
  const [kdf, encryption] = [childAt(parameters, 0), childAt(parameters, 1)]
  const cipherOid = readOid(childAt(encryption, 0))
  const cipher = pbes2Ciphers[cipherOid]
  if (cipher === undefined) throw unsupported(cipherOid)
  const iv = readOctets(expectTag(childAt(encryption, 1), BerTag.octetString))
  if (iv.length !== cipher.ivBytes) throw unsupported(cipherOid)
  return cipher.decrypt(derivePbkdf2(kdf, password, cipher.keyBytes, budget), iv, ciphertext)
}

/** Key of `PBKDF2-params`, in an `AlgorithmIdentifier`. */
export function derivePbkdf2(kdf: BerNode, password: Buffer, keyBytes: number, budget: DerivationBudget): Buffer {
  const kdfOid = readOid(childAt(kdf, 0))
  if (kdfOid !== PBKDF2) throw unsupported(kdfOid)
  const parameters = childAt(kdf, 1)
  const salt = readOctets(expectTag(childAt(parameters, 0), BerTag.octetString))
  const options = parameters.children.slice(2)
  const length = options.find(({ tag }) => tag === BerTag.integer)
  if (length !== undefined && readInteger(length) !== keyBytes) throw unsupported(kdfOid)
  const prf = options.find(({ tag }) => tag === BerTag.sequence)
  const prfOid = prf === undefined ? '1.2.840.113549.2.7' : readOid(childAt(prf, 0))
  const digest = prfs[prfOid]
  if (digest === undefined) throw unsupported(prfOid)
  const blocks = Math.ceil(keyBytes / hash(digest, '', 'buffer').length)
  const iterations = budget.spend(readInteger(childAt(parameters, 1)), blocks)
  return pbkdf2Sync(password, salt, Math.max(iterations, 1), keyBytes, digest)
}

class BadPadding extends Error {}

function wholeBlocks(bytes: Buffer, size: number): Buffer {
  if (bytes.length === 0 || bytes.length % size !== 0) throw new BadPadding()
  return bytes
}

function unpad(plain: Buffer, size: number): Buffer {
  const count = plain.at(-1) ?? 0
  const good = count > 0 && count <= size && plain.subarray(-count).every((byte) => byte === count)
  if (!good) throw new BadPadding()
  return plain.subarray(0, -count)
}

export function unsupported(oid: string): CredentialRefusal {
  return new CredentialRefusal(
    'keystore-algorithm-unsupported',
    `The file uses an algorithm that is not supported (${oid}). Export it again with AES-256 and SHA-256, the default of OpenSSL 3 and keytool 17.`,
  )
}
