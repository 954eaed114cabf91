export const lineCap = 16_384
const cutNotice = ' [the rest of this line was cut]'

/**
 * Turns bytes into lines as a terminal would show them: what stands before a carriage return is overwritten, so a progress
 * bar leaves its last state. Over-long lines are cut, never buffered.
 */
export class LineSplitter {
  readonly #decoder = new TextDecoder('utf-8')
  readonly #onLine: (line: string) => void
  #line = ''
  #cut = false
  #returned = false

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine
  }

  write(chunk: Buffer): void {
    this.#take(this.#decoder.decode(chunk, { stream: true }))
  }

  end(): void {
    this.#take(this.#decoder.decode())
    if (this.#line !== '') this.#finishLine()
  }

  #take(text: string): void {
    for (const token of text.split(/([\r\n])/)) {
      if (token === '') continue
      if (token === '\n') this.#finishLine()
      else if (token === '\r') this.#returned = true
      else this.#append(token)
    }
  }

  #append(text: string): void {
    if (this.#returned) {
      this.#line = ''
      this.#cut = false
      this.#returned = false
    }
    if (this.#cut) return
    this.#line += text
    if (this.#line.length > lineCap) {
      this.#line = this.#line.slice(0, lineCap - cutNotice.length).replace(/[\uD800-\uDBFF]$/, '') + cutNotice
      this.#cut = true
    }
  }

  #finishLine(): void {
    // NUL cannot be stored in a text column.
    this.#onLine(this.#line.replaceAll('\0', '\uFFFD'))
    this.#line = ''
    this.#cut = false
    this.#returned = false
  }
}
