import { inspect } from 'node:util'

/**
 * Bytes that must not outlive their use: zeroed at the end of the `using` block that owns them, and printed, logged and
 * serialized as `[secret]`. The constructor takes the buffer over; nobody else keeps it.
 */
export class Secret implements Disposable {
  #bytes: Buffer | null

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  /** Lends the bytes for one call; they are not copied, and not to be kept. */
  use<T>(work: (bytes: Buffer) => T): T {
    if (this.#bytes === null) throw new Error('the secret is gone')
    return work(this.#bytes)
  }

  [Symbol.dispose](): void {
    this.#bytes?.fill(0)
    this.#bytes = null
  }

  toString(): string {
    return '[secret]'
  }

  toJSON(): string {
    return '[secret]'
  }

  [inspect.custom](): string {
    return '[secret]'
  }
}
