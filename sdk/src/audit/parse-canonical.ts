import { AuditRefusal } from './audit-refusal.js'

/** What an audit event may be made of. */
export type CanonicalValue = string | number | boolean | null | CanonicalValue[] | { [key: string]: CanonicalValue }

const maximumDepth = 64
const integer = /-?(?:0|[1-9][0-9]*)/y
const plainText = /[^"\\]*/y
const shortEscapes: Record<string, string> = { b: '\b', t: '\t', n: '\n', f: '\f', r: '\r', '"': '"', '\\': '\\' }

function refuse(what: string): never {
  throw new AuditRefusal('NOT_CANONICAL', `The stored text is not canonical JSON: ${what}.`)
}

/**
 * Reads one value and accepts nothing but its canonical form (RFC 8785), restricted to what an event may hold: no white
 * space, keys sorted by UTF-16 code units and unique, shortest escapes, strings in NFC without lone surrogates, safe
 * integers. `JSON.parse` would keep the last of two equal keys and round numbers; this refuses both.
 */
class CanonicalReader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  get done(): boolean {
    return this.#at === this.#text.length
  }

  #take(expected: string): void {
    if (!this.#text.startsWith(expected, this.#at)) refuse(`expected ${expected} at ${this.#at}`)
    this.#at += expected.length
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at
    const [found] = pattern.exec(this.#text) ?? ['']
    this.#at += found.length
    return found
  }

  value(depth: number): CanonicalValue {
    if (depth > maximumDepth) refuse('it is nested too deeply')
    switch (this.#text[this.#at]) {
      case '{':
        return this.#object(depth)
      case '[':
        return this.#array(depth)
      case '"':
        return this.#string()
      case 't':
        this.#take('true')
        return true
      case 'f':
        this.#take('false')
        return false
      case 'n':
        this.#take('null')
        return null
      default:
        return this.#number()
    }
  }

  #number(): number {
    const digits = this.#match(integer)
    const number = Number(digits)
    if (digits === '' || digits === '-0' || !Number.isSafeInteger(number)) refuse(`no safe integer at ${this.#at}`)
    return number
  }

  #string(): string {
    this.#take('"')
    let value = ''
    let rawControl = false
    for (;;) {
      const plain = this.#match(plainText)
      rawControl ||= Array.from(plain).some((char) => char < ' ')
      value += plain
      if (this.#text[this.#at] !== '\\') break
      value += this.#escape()
    }
    this.#take('"')
    if (rawControl) refuse('a string has a control character that is not escaped')
    if (!value.isWellFormed()) refuse('a string has a lone surrogate')
    if (value.normalize('NFC') !== value) refuse('a string is not in NFC')
    return value
  }

  #escape(): string {
    const short = shortEscapes[this.#text.charAt(this.#at + 1)]
    if (short !== undefined) {
      this.#at += 2
      return short
    }
    const code = /^\\u00[01][0-9a-f]$/.exec(this.#text.slice(this.#at, this.#at + 6))?.[0]
    if (code === undefined) refuse(`an escape at ${this.#at} is not the shortest`)
    const char = String.fromCharCode(Number.parseInt(code.slice(2), 16))
    if ('\b\t\n\f\r'.includes(char)) refuse(`an escape at ${this.#at} is not the shortest`)
    this.#at += 6
    return char
  }

  #array(depth: number): CanonicalValue[] {
    this.#take('[')
    const values: CanonicalValue[] = []
    while (this.#text[this.#at] !== ']') {
      if (values.length > 0) this.#take(',')
      values.push(this.value(depth + 1))
    }
    this.#take(']')
    return values
  }

  #object(depth: number): { [key: string]: CanonicalValue } {
    this.#take('{')
    const entries: [string, CanonicalValue][] = []
    while (this.#text[this.#at] !== '}') {
      if (entries.length > 0) this.#take(',')
      const key = this.#string()
      const before = entries.at(-1)?.[0]
      if (before !== undefined && before >= key) refuse('its keys are not sorted, or one occurs twice')
      this.#take(':')
      entries.push([key, this.value(depth + 1)])
    }
    this.#take('}')
    return Object.fromEntries(entries)
  }
}

/**
 * Parses a text that must be canonical JSON.
 *
 * @throws {AuditRefusal} `NOT_CANONICAL`
 */
export function parseCanonical(text: string): CanonicalValue {
  const reader = new CanonicalReader(text)
  const value = reader.value(0)
  if (!reader.done) refuse('something follows it')
  return value
}
