import { createHash } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { gunzip, gzip } from 'node:zlib'
import type { LogChunk, LogLine } from '@capstan/migrations'
import { type ObjectStore, ObjectStoreError } from '../objects/object-store.js'

/** Of text, before it is compressed: what is held in memory to read any line of a log. */
const CHUNK_BYTES = 512 * 1024
const compress = promisify(gzip)
const decompress = promisify(gunzip)

/**
 * Packs lines that come in order into the parts of a log object: gzip members of NDJSON, which together are one gzip file.
 * `onChunk` is told where each part lies.
 */
export async function* packLog(
  pages: AsyncIterable<readonly LogLine[]>,
  onChunk: (chunk: LogChunk) => void,
): AsyncGenerator<Buffer> {
  let offset = 0
  const pack = async (lines: readonly LogLine[]): Promise<Buffer> => {
    const packed = await compress(lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
    const [first, last] = [lines[0]?.number ?? 0, lines.at(-1)?.number ?? 0]
    onChunk({ first, last, offset, bytes: packed.length, sha256: sha256(packed) })
    offset += packed.length
    return packed
  }
  let waiting: LogLine[] = []
  let bytes = 0
  for await (const lines of pages) {
    for (const line of lines) {
      waiting.push(line)
      bytes += Buffer.byteLength(line.text) + 100
      if (bytes < CHUNK_BYTES) continue
      yield await pack(waiting)
      waiting = []
      bytes = 0
    }
  }
  if (waiting.length > 0) yield await pack(waiting)
}

/** The lines of one part; its bytes are compared before anything is made of them. */
export async function readLogChunk(
  objects: ObjectStore,
  objectKey: string,
  { offset, bytes, sha256: expected }: LogChunk,
): Promise<LogLine[]> {
  const { body } = await objects.get(objectKey, { range: { start: offset, end: offset + bytes - 1 } })
  const packed = await buffer(body)
  if (sha256(packed) !== expected) {
    throw new ObjectStoreError('object-damaged', 'A part of a stored log is not what was written.')
  }
  const text = (await decompress(packed)).toString('utf8')
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as LogLine)
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
