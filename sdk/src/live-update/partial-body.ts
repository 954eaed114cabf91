/** The bytes of a body so far, in the order in which they came, and what tells whether a later answer continues them. */
export class PartialBody {
  #chunks: Uint8Array[] = []
  #etag: string | null = null
  #length = 0
  /** Bytes that ever came, also those that were forgotten since. */
  received = 0

  get length(): number {
    return this.#length
  }

  /** The strong validator of the body; without one it cannot be continued. */
  get etag(): string | null {
    return this.#etag
  }

  static of(etag: string, pieces: readonly Uint8Array[]): PartialBody {
    const body = new PartialBody()
    body.#etag = etag
    for (const piece of pieces) body.add(piece)
    return body
  }

  add(chunk: Uint8Array): void {
    this.#chunks.push(chunk)
    this.#length += chunk.length
    this.received += chunk.length
  }

  /** Asks for what is missing, and for all of it when the body is another one by now (RFC 9110 §13.1.5). */
  rangeHeaders(): Record<string, string> {
    if (this.#length === 0 || this.#etag === null) return {}
    return { range: `bytes=${this.#length}-`, 'if-range': this.#etag }
  }

  /** Keeps what is there when the answer continues it, and else forgets it. */
  continueWith(response: Response): void {
    const etag = response.headers.get('etag')
    const range = response.headers.get('content-range')
    const continues =
      response.status === 206 &&
      this.#length > 0 &&
      (etag === null || etag === this.#etag) &&
      (range === null || range.startsWith(`bytes ${this.#length}-`))
    if (!continues) [this.#chunks, this.#length] = [[], 0]
    const usable = response.status === 200 || continues
    // A weak validator says that two bodies mean the same, not that they have the same bytes.
    this.#etag = usable && etag !== null && /^"[\x21\x23-\x7e]+"$/.test(etag) ? etag : continues ? this.#etag : null
  }

  /** Everything from the byte `from` on. */
  join(from = 0): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(this.#length - from)
    let offset = -from
    for (const chunk of this.#chunks) {
      if (offset + chunk.length > 0) bytes.set(chunk.subarray(Math.max(0, -offset)), Math.max(0, offset))
      offset += chunk.length
    }
    return bytes
  }
}
