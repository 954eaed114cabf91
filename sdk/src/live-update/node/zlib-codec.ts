import { crc32, inflateRaw } from 'node:zlib'
import type { ArchiveCodec } from '../../archive/archive-codec.js'

/** zlib, on the threads of Node. It stops at the declared size, and says how much of its input it used. */
export const zlibCodec: ArchiveCodec = {
  inflateRaw: (packed, size) =>
    new Promise((resolve) => {
      const bounds = { chunkSize: Math.max(64, size + 1), maxOutputLength: Math.max(1, size), info: true }
      inflateRaw(packed, bounds, (error, result) => {
        const { buffer, engine } = (result ?? {}) as unknown as { buffer?: Buffer; engine?: { bytesWritten: number } }
        const exact = error === null && buffer?.length === size && engine?.bytesWritten === packed.length
        resolve(exact ? buffer : null)
      })
    }),
  crc32,
}
