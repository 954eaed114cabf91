import { PartialBody } from '../partial-body.js'
import type { Session } from '../session.js'

/** A transfer shorter than this is not worth keeping pieces of. */
const keepAfterMs = 2000
const pieceBytesMinimum = 1024 * 1024

/** Writes what arrives to the device while it arrives, so that a program that is killed need not begin again. */
export class PartialKeeper {
  readonly #session: Session
  readonly #url: string
  readonly #since = Date.now()
  #kept: { etag: string; pieces: number; bytes: number } | null = null
  #writing: Promise<unknown> = Promise.resolve()

  constructor(session: Session, url: string) {
    this.#session = session
    this.#url = url
  }

  /** What an earlier run kept of the same address. Not one byte of it is trusted: the whole is hashed in the end. */
  async recall(maximumBytes: number): Promise<PartialBody> {
    const { storage } = this.#session.world
    try {
      const [head, ...pieces] = await storage.readPieces()
      const { url, etag } = JSON.parse(new TextDecoder().decode(head)) as { url?: unknown; etag?: unknown }
      const length = pieces.reduce((sum, piece) => sum + piece.length, 0)
      if (url === this.#url && typeof etag === 'string' && length > 0 && length < maximumBytes) {
        this.#kept = { etag, pieces: pieces.length, bytes: length }
        return PartialBody.of(etag, pieces)
      }
    } catch {
      // What was kept cannot be read: the download begins at the start.
    }
    await this.forget()
    return new PartialBody()
  }

  /** To be called as bytes arrive. */
  note(body: PartialBody): void {
    const unsaved = body.length - (this.#kept?.bytes ?? 0)
    if (unsaved >= pieceBytesMinimum && Date.now() - this.#since > keepAfterMs) void this.keep(body)
  }

  keep(body: PartialBody): Promise<unknown> {
    const { storage } = this.#session.world
    const { etag } = body
    if (etag === null || body.length === 0) return this.#writing
    const known = this.#kept?.etag === etag && this.#kept.bytes <= body.length ? this.#kept : null
    const [pieces, from] = known ? [known.pieces, known.bytes] : [0, 0]
    if (from === body.length) return this.#writing
    const piece = body.join(from)
    this.#kept = { etag, pieces: pieces + 1, bytes: body.length }
    const before = this.#writing
    const write = async (): Promise<void> => {
      await before
      if (known === null) {
        await storage.clearPieces()
        await storage.addPiece(0, new TextEncoder().encode(JSON.stringify({ url: this.#url, etag })))
      }
      await storage.addPiece(pieces + 1, piece)
    }
    // A device without room for the pieces downloads anew.
    this.#writing = write().catch(() => null)
    return this.#writing
  }

  async forget(): Promise<void> {
    this.#kept = null
    await this.#writing
    await this.#session.world.storage.clearPieces().catch(() => null)
  }
}
