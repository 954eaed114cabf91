import type { FileHandle } from 'node:fs/promises'

import { z } from 'zod'

import {
  BODY_OFFSET,
  CHUNK_BYTES,
  type ChunkCipher,
  chunkCipher,
  damaged,
  HEADER_BYTES,
  lastChunkIndex,
  openFacts,
  sealedSize,
  TAG_BYTES,
} from './object-cipher.js'
import type { StoredObject } from './object-store.js'

const Facts = z.object({
  v: z.literal(1),
  key: z.string(),
  sizeBytes: z.number().int().min(0),
  sha256: z.string(),
  contentType: z.string(),
})

export type SealedFile = { object: StoredObject; cipher: ChunkCipher }

/** [O4] Opens header and facts; the caller compares the key found with the one it asked for. */
export async function readSealedHead(file: FileHandle, storeKey: Uint8Array): Promise<SealedFile> {
  const head = await readExactly(file, 0, BODY_OFFSET)
  const header = head.subarray(0, HEADER_BYTES)
  const facts = openFacts(storeKey, header, head.subarray(HEADER_BYTES)).toString('utf8')
  const { v: _version, ...object } = Facts.parse(JSON.parse(facts))
  const { size } = await file.stat()
  if (size !== sealedSize(object.sizeBytes)) throw damaged()
  return { object, cipher: chunkCipher(storeKey, header, object.key) }
}

/** Yields the bytes `start..end` (inclusive) chunk by chunk, each verified before it leaves; closes the file in the end. */
export async function* streamSealedFile(
  file: FileHandle,
  sealed: SealedFile,
  range: { start: number; end: number },
): AsyncGenerator<Buffer> {
  try {
    let chunk = Math.floor(range.start / CHUNK_BYTES)
    do {
      const bytes = await readChunk(file, sealed, chunk)
      const base = chunk * CHUNK_BYTES
      const wanted = bytes.subarray(Math.max(range.start - base, 0), Math.min(range.end - base + 1, bytes.length))
      if (wanted.length > 0) yield wanted
      chunk += 1
    } while (chunk * CHUNK_BYTES <= range.end)
  } finally {
    await file.close()
  }
}

async function readChunk(file: FileHandle, { object, cipher }: SealedFile, chunk: number): Promise<Buffer> {
  const last = lastChunkIndex(object.sizeBytes)
  const plainBytes = chunk === last ? object.sizeBytes - last * CHUNK_BYTES : CHUNK_BYTES
  const sealed = await readExactly(file, BODY_OFFSET + chunk * (CHUNK_BYTES + TAG_BYTES), plainBytes + TAG_BYTES)
  return cipher.open(chunk, chunk === last, sealed)
}

async function readExactly(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length)
  for (let done = 0; done < length;) {
    const { bytesRead } = await file.read(bytes, done, length - done, position + done)
    if (bytesRead === 0) throw damaged()
    done += bytesRead
  }
  return bytes
}
