import type { ArchiveCodec } from '../archive/archive-codec.js'
import { crc32 } from '../archive/crc32.js'

/** A stream unpacks to at most 1032 times its bytes, and a web view may hold all of that before it is read. */
const feedBytes = 32 * 1024

/** An empty stream (one fixed block) with a byte behind it. */
const withTrailingByte = Uint8Array.of(0x03, 0x00, 0x00)

async function inflate(packed: Uint8Array, size: number): Promise<Uint8Array | null> {
  const stream = new DecompressionStream('deflate-raw')
  const writer = stream.writable.getWriter()
  const feeding = (async () => {
    for (let at = 0; at < packed.length; at += feedBytes) await writer.write(packed.subarray(at, at + feedBytes))
    await writer.close()
  })()
  // Its failure is the reader's too.
  feeding.catch(() => null)
  const reader = stream.readable.getReader()
  const content = new Uint8Array(size)
  let length = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    if (length + value.length > size) {
      await reader.cancel()
      return null
    }
    content.set(value, length)
    length += value.length
  }
  await feeding
  return length === size ? content : null
}

let strict: Promise<boolean> | undefined

/** Whether this platform's decompressor refuses bytes behind the end of a stream, as the standard says. */
function isStrict(): Promise<boolean> {
  return inflate(withTrailingByte, 0).then(
    () => false,
    () => true,
  )
}

/** The web's decompressor, off the page's thread; where there is none, or a lenient one, it always gives up. */
export const streamCodec: ArchiveCodec = {
  async inflateRaw(packed, size) {
    strict ??= typeof DecompressionStream === 'function' ? isStrict() : Promise.resolve(false)
    return (await strict) ? inflate(packed, size).catch(() => null) : null
  },
  crc32,
}
