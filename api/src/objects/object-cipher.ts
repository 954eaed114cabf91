import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto'

import { ObjectStoreError } from './object-store.js'

/** Format `CSO1`, described in FORMAT.md; the numbers in brackets are its steps. */
export const CHUNK_BYTES = 64 * 1024
export const TAG_BYTES = 16
export const HEADER_BYTES = 40
const FACTS_BYTES = 1024
export const BODY_OFFSET = HEADER_BYTES + FACTS_BYTES + TAG_BYTES

const MAGIC = Buffer.from('CSO1\x00\x01\x00\x10', 'latin1')
const GCM = { authTagLength: TAG_BYTES } as const

/** Bytes on disk of an object of `sizeBytes`: every object has a last chunk, the empty object an empty one. */
export function sealedSize(sizeBytes: number): number {
  return BODY_OFFSET + sizeBytes + lastChunkIndex(sizeBytes) * TAG_BYTES + TAG_BYTES
}

export function lastChunkIndex(sizeBytes: number): number {
  return sizeBytes === 0 ? 0 : Math.ceil(sizeBytes / CHUNK_BYTES) - 1
}

/** Keeps names out of the file system: a directory or file name is a MAC of the path up to it. */
export function hashName(storeKey: Uint8Array, path: string): string {
  const nameKey = Buffer.from(hkdfSync('sha512', storeKey, Buffer.alloc(0), 'cso1:names', 32))
  return createHmac('sha256', nameKey).update(path).digest('hex').slice(0, 40)
}

/** Proves that a store folder and a key belong together, without telling anything about the key. */
export function storeMark(storeKey: Uint8Array): string {
  const markKey = Buffer.from(hkdfSync('sha512', storeKey, Buffer.alloc(0), 'cso1:mark', 32))
  return createHmac('sha256', markKey).update('capstan object store 1').digest('hex')
}

export type ChunkCipher = {
  seal(index: number, last: boolean, plaintext: Uint8Array): Buffer
  open(index: number, last: boolean, sealed: Uint8Array): Buffer
}

/** [O1] A fresh salt per object, so that no (key, nonce) pair can ever repeat. */
export function newHeader(): Buffer {
  return Buffer.concat([MAGIC, randomBytes(32)])
}

/** [O2] The header and the name the object was stored under are part of every chunk's tag. */
export function chunkCipher(storeKey: Uint8Array, header: Buffer, objectKey: string): ChunkCipher {
  const name = Buffer.from(objectKey, 'utf8')
  const key = deriveKey(storeKey, header, 'chunks')
  const context = Buffer.concat([Buffer.from('cso1:chunk\0'), header, lengthOf(name), name])
  return {
    seal: (index, last, plaintext) => seal(key, chunkNonce(index, last), context, plaintext),
    open: (index, last, sealed) => open(key, chunkNonce(index, last), context, sealed),
  }
}

/** The facts name the object themselves, so that a listing can read them; a reader compares the name with its own. */
export function sealFacts(storeKey: Uint8Array, header: Buffer, facts: Uint8Array): Buffer {
  return seal(deriveKey(storeKey, header, 'facts'), Buffer.alloc(12), factsContext(header), padded(facts))
}

export function openFacts(storeKey: Uint8Array, header: Buffer, sealed: Uint8Array): Buffer {
  if (!header.subarray(0, MAGIC.length).equals(MAGIC)) throw damaged()
  return open(deriveKey(storeKey, header, 'facts'), Buffer.alloc(12), factsContext(header), sealed)
}

function deriveKey(storeKey: Uint8Array, header: Buffer, label: string): Buffer {
  return Buffer.from(hkdfSync('sha512', storeKey, header.subarray(MAGIC.length), `cso1:${label}`, 32))
}

function factsContext(header: Buffer): Buffer {
  return Buffer.concat([Buffer.from('cso1:facts\0'), header])
}

/** [O3] position and end are in the nonce: a moved, missing or appended chunk does not open. */
function chunkNonce(index: number, last: boolean): Buffer {
  const nonce = Buffer.alloc(12)
  nonce.writeUInt32BE(index, 7)
  nonce[11] = last ? 1 : 0
  return nonce
}

function seal(key: Buffer, nonce: Buffer, context: Buffer, plaintext: Uint8Array): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, nonce, GCM).setAAD(context)
  return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
}

function open(key: Buffer, nonce: Buffer, context: Buffer, sealed: Uint8Array): Buffer {
  if (sealed.length < TAG_BYTES) throw damaged()
  const split = sealed.length - TAG_BYTES
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 })
  decipher.setAAD(context).setAuthTag(sealed.subarray(split))
  const plaintext = decipher.update(sealed.subarray(0, split))
  try {
    decipher.final()
  } catch {
    throw damaged()
  }
  return plaintext
}

function lengthOf(bytes: Buffer): Buffer {
  const length = Buffer.alloc(2)
  length.writeUInt16BE(bytes.length)
  return length
}

function padded(facts: Uint8Array): Buffer {
  if (facts.length > FACTS_BYTES) throw new RangeError('object facts are too long')
  return Buffer.concat([facts, Buffer.alloc(FACTS_BYTES - facts.length, 0x20)])
}

export function damaged(): ObjectStoreError {
  return new ObjectStoreError('object-damaged', 'The stored object is not what was written; it is not served.')
}
