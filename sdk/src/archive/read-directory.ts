/** Where an archive says that an entry is. Offsets are from the start of the archive; `end` is where the next thing starts. */
export interface ArchivePlace {
  path: string
  method: number
  packedSize: number
  start: number
  end: number
}

const endRecordBytes = 22

/**
 * Reads where the entries of an archive are from its last bytes, to fetch some of them alone. This judges nothing: what
 * it says is a hint, and whoever follows it checks the hash of what is found there.
 *
 * @param tail the last bytes of the archive
 * @param size of the whole archive
 * @returns the offset of the directory when `tail` begins after it, `null` when there is none that can be read
 */
export function readDirectory(tail: Uint8Array, size: number): Map<string, ArchivePlace> | number | null {
  const view = new DataView(tail.buffer, tail.byteOffset, tail.byteLength)
  const endAt = tail.length - endRecordBytes
  if (endAt < 0 || view.getUint32(endAt, true) !== 0x06054b50) return null
  const directoryStart = view.getUint32(endAt + 16, true)
  const tailStart = size - tail.length
  if (directoryStart < tailStart) return directoryStart
  const places: ArchivePlace[] = []
  for (let at = directoryStart - tailStart; at < endAt;) {
    if (at + 46 > endAt || view.getUint32(at, true) !== 0x02014b50) return null
    const nameEnd = at + 46 + view.getUint16(at + 28, true)
    const path = new TextDecoder().decode(tail.subarray(at + 46, nameEnd))
    const [packedSize, start] = [view.getUint32(at + 20, true), view.getUint32(at + 42, true)]
    places.push({ path, method: view.getUint16(at + 10, true), packedSize, start, end: directoryStart })
    at = nameEnd + view.getUint16(at + 30, true) + view.getUint16(at + 32, true)
  }
  places.sort((a, b) => a.start - b.start)
  for (const [index, place] of places.entries()) {
    place.end = places[index + 1]?.start ?? directoryStart
    if (place.end <= place.start) return null
  }
  return new Map(places.map((place) => [place.path, place]))
}
