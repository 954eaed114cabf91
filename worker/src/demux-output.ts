export type OutputFrame = { source: 'stdout' | 'stderr'; chunk: Buffer }

const headerBytes = 8

/**
 * Splits the engine's attach stream (8-byte header: stream number, three zeros, big-endian length) as it arrives. Parts of
 * a frame are passed on at once, so memory does not grow with the frame, and the consumer's pace is the stream's pace.
 */
export async function* demuxOutput(stream: AsyncIterable<Buffer>): AsyncGenerator<OutputFrame> {
  let header = Buffer.alloc(0)
  let source: OutputFrame['source'] = 'stdout'
  let remaining = 0
  for await (const received of stream) {
    let chunk = received
    while (chunk.length > 0) {
      if (remaining > 0) {
        const part = chunk.subarray(0, remaining)
        remaining -= part.length
        chunk = chunk.subarray(part.length)
        yield { source, chunk: part }
        continue
      }
      const missing = headerBytes - header.length
      header = Buffer.concat([header, chunk.subarray(0, missing)])
      chunk = chunk.subarray(missing)
      if (header.length === headerBytes) {
        source = header[0] === 2 ? 'stderr' : 'stdout'
        remaining = header.readUInt32BE(4)
        header = Buffer.alloc(0)
      }
    }
  }
}
