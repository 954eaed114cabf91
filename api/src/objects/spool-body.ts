import { randomBytes, randomUUID } from 'node:crypto'
import { open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'

import type { PutOptions } from './object-store.js'
import { readSealedHead, streamSealedFile } from './read-sealed-file.js'
import { writeSealedFile } from './write-sealed-file.js'

export type SpooledBody = { sizeBytes: number; sha256: string; read(): Readable; close(): Promise<void> }

/**
 * Receives a body whole, so that its length and hash are known, and wrong ones refused, before a byte goes to S3. What
 * touches the disk is sealed under a key that exists only in this call, in a file without a name.
 */
export async function spoolBody(body: Uint8Array | Readable, options: PutOptions): Promise<SpooledBody> {
  const path = join(tmpdir(), `capstan-spool-${randomUUID()}`)
  const file = await open(path, 'wx+', 0o600)
  await rm(path)
  try {
    const key = randomBytes(32)
    const { sizeBytes, sha256 } = await writeSealedFile(file, key, 'spool', body, options)
    const sealed = await readSealedHead(file, key)
    return {
      sizeBytes,
      sha256,
      read: () =>
        Readable.from(streamSealedFile(file, sealed, { start: 0, end: sizeBytes - 1 }), { objectMode: false }),
      close: () => file.close(),
    }
  } catch (error) {
    await file.close()
    throw error
  }
}
