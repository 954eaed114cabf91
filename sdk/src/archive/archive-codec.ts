/**
 * The platform's own, faster code for what this package can do itself. It never judges: when it is not sure that a stream
 * is in order it gives up, and the package's code decides, so that every device and the server give the same verdict.
 */
export interface ArchiveCodec {
  /**
   * What a raw DEFLATE stream unpacks to, when the stream is exactly `packed` and unpacks to exactly `size` bytes; `null`
   * in every other case. Never holds much more than `size` bytes, whatever the stream says.
   */
  inflateRaw(packed: Uint8Array, size: number): Promise<Uint8Array | null>
  /** CRC-32 as zip uses it, as an unsigned number. */
  crc32(bytes: Uint8Array): number
}
