/** What travels between the API and its launcher: one line of JSON, then as many bytes as it says. */
export type Frame<Head> = { head: Head; body: Buffer }

const MAX_HEAD_BYTES = 200

/** How a question ended: with what the child printed, with the child ended by itself or a limit, or by the clock. */
export type Outcome = 'answered' | 'ended' | 'late'

export function encodeFrame(head: { id: number; others?: boolean; outcome?: Outcome }, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${JSON.stringify({ ...head, bytes: body.length })}\n`, 'latin1'), body])
}

/** Takes pieces of a stream as they come and hands out whole frames; throws on a head that is too long. */
export function createFrameReader<Head extends { bytes: number }>(
  take: (frame: Frame<Head>) => void,
): (piece: Buffer) => void {
  let pieces: Buffer[] = []
  let size = 0
  let wanted = 0
  let head: Head | null = null

  /** Starts on the next frame, if its head is there. */
  function readHead(): boolean {
    const bytes = Buffer.concat(pieces)
    const end = bytes.indexOf(10)
    if (end > MAX_HEAD_BYTES || (end < 0 && size > MAX_HEAD_BYTES)) throw new Error('a frame has too long a head')
    if (end < 0) return false
    head = JSON.parse(bytes.toString('latin1', 0, end)) as Head
    pieces = [bytes.subarray(end + 1)]
    size -= end + 1
    wanted = head.bytes
    return true
  }

  return (piece) => {
    pieces.push(piece)
    size += piece.length
    while (head !== null || readHead()) {
      if (head === null || size < wanted) return
      const bytes = Buffer.concat(pieces)
      const frame = { head, body: bytes.subarray(0, wanted) }
      pieces = [bytes.subarray(wanted)]
      size -= wanted
      head = null
      take(frame)
    }
  }
}
