import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import type { Readable } from 'node:stream'

import { BODY_OFFSET, CHUNK_BYTES, chunkCipher, HEADER_BYTES, newHeader, sealFacts } from './object-cipher.js'
import { ObjectStoreError, type PutOptions, type StoredObject } from './object-store.js'

/** Writes one object in format CSO1 into an empty file and syncs it; the caller publishes or removes the file. */
export async function writeSealedFile(
  file: FileHandle,
  storeKey: Uint8Array,
  key: string,
  body: Uint8Array | Readable,
  options: PutOptions,
): Promise<StoredObject> {
  const header = newHeader()
  const cipher = chunkCipher(storeKey, header, key)
  const limit = sizeLimit(options)
  const hash = createHash('sha256')
  let sizeBytes = 0
  let index = 0
  let offset = BODY_OFFSET
  const append = async (chunk: Buffer, last: boolean) => {
    const sealed = cipher.seal(index, last, chunk)
    await writeAll(file, sealed, offset)
    offset += sealed.length
    index += 1
  }

  let pending = Buffer.alloc(CHUNK_BYTES)
  let filled = 0
  for await (const piece of pieces(body)) {
    sizeBytes += piece.length
    if (sizeBytes > limit.bytes) throw limit.error()
    hash.update(piece)
    for (let taken = 0; taken < piece.length;) {
      // A full chunk is written only when more bytes follow: until then it may be the last one.
      if (filled === CHUNK_BYTES) {
        await append(pending, false)
        pending = Buffer.alloc(CHUNK_BYTES)
        filled = 0
      }
      const count = Math.min(CHUNK_BYTES - filled, piece.length - taken)
      pending.set(piece.subarray(taken, taken + count), filled)
      filled += count
      taken += count
    }
  }
  await append(pending.subarray(0, filled), true)

  const stored = { key, sizeBytes, sha256: hash.digest('hex'), contentType: options.contentType }
  checkArrived(stored, options)
  const facts = JSON.stringify({ v: 1, ...stored, createdAt: new Date().toISOString() })
  await writeAll(file, header, 0)
  await writeAll(file, sealFacts(storeKey, header, Buffer.from(facts, 'utf8')), HEADER_BYTES)
  await file.sync()
  return stored
}

function sizeLimit({ sizeBytes, maxBytes }: PutOptions) {
  if (sizeBytes !== undefined && (maxBytes === undefined || sizeBytes <= maxBytes)) {
    return {
      bytes: sizeBytes,
      error: () => new ObjectStoreError('object-size-mismatch', `More than the announced ${sizeBytes} bytes arrived.`),
    }
  }
  const bytes = maxBytes ?? Number.MAX_SAFE_INTEGER
  return { bytes, error: () => new ObjectStoreError('object-too-large', `The object is larger than ${bytes} bytes.`) }
}

/** Refuses what is complete but not what was announced. */
function checkArrived(stored: StoredObject, options: PutOptions): void {
  if (options.sizeBytes !== undefined && stored.sizeBytes !== options.sizeBytes) {
    throw new ObjectStoreError(
      'object-size-mismatch',
      `${stored.sizeBytes} bytes arrived, ${options.sizeBytes} were announced.`,
    )
  }
  if (options.sha256 !== undefined && stored.sha256 !== options.sha256) {
    throw new ObjectStoreError('object-checksum-mismatch', 'The bytes that arrived do not have the announced SHA-256.')
  }
}

async function* pieces(body: Uint8Array | Readable): AsyncGenerator<Uint8Array> {
  if (body instanceof Uint8Array) {
    if (body.length > 0) yield body
    return
  }
  for await (const piece of body) {
    if (!(piece instanceof Uint8Array)) throw new TypeError('an object body yields bytes only')
    yield piece
  }
}

async function writeAll(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done)
    done += bytesWritten
  }
}
