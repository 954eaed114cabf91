export type PlistValue = string | number | boolean | Date | Buffer | PlistValue[] | { [key: string]: PlistValue }

class PlistError extends Error {
  override name = 'PlistError' as const
}

const TOKEN = /<(\/?)([A-Za-z]+)((?:\s[^<>]*)?)(\/?)>|<!--[\s\S]*?-->|<[?!][^<>]*>|([^<]+)/g
const MAX_DEPTH = 32
const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

type Token = { kind: 'open' | 'close' | 'empty'; name: string } | { kind: 'text'; text: string }

/** Reads an XML property list of the kinds that profiles are made of. No entity of a document is ever expanded. */
export function readPlist(xml: string): PlistValue {
  const tokens = tokenize(xml)
  const reader = new Reader(tokens)
  reader.take('open', 'plist')
  const value = reader.value(0)
  reader.take('close', 'plist')
  return value
}

function tokenize(xml: string): Token[] {
  const tokens: Token[] = []
  let end = 0
  for (const match of xml.matchAll(TOKEN)) {
    if (match.index !== end) throw new PlistError('unreadable')
    end = match.index + match[0].length
    const [, closing, name, , empty, text] = match
    if (name !== undefined) tokens.push({ kind: closing ? 'close' : empty ? 'empty' : 'open', name })
    else if (text !== undefined) tokens.push({ kind: 'text', text })
  }
  if (end !== xml.length) throw new PlistError('unreadable')
  return tokens
}

class Reader {
  readonly #tokens: Token[]
  #next = 0
  constructor(tokens: Token[]) {
    this.#tokens = tokens
  }

  take(kind: 'open' | 'close', name: string): void {
    const token = this.#tag()
    if (token.kind !== kind || token.name !== name) throw new PlistError(`<${name}> was expected`)
  }

  value(depth: number): PlistValue {
    if (depth > MAX_DEPTH) throw new PlistError('nested too deeply')
    const token = this.#tag()
    if (token.kind === 'empty') return emptyValue(token.name)
    if (token.kind !== 'open') throw new PlistError('a value was expected')
    if (token.name === 'array') return this.#array(depth)
    if (token.name === 'dict') return this.#dictionary(depth)
    const text = this.#text(token.name)
    return scalar(token.name, text)
  }

  #array(depth: number): PlistValue[] {
    const items: PlistValue[] = []
    while (!this.#closes('array')) items.push(this.value(depth + 1))
    return items
  }

  #dictionary(depth: number): PlistValue {
    const entries = new Map<string, PlistValue>()
    while (!this.#closes('dict')) {
      this.take('open', 'key')
      const key = this.#text('key')
      if (entries.has(key)) throw new PlistError('a key stands twice')
      entries.set(key, this.value(depth + 1))
    }
    return Object.fromEntries(entries)
  }

  /** Consumes the end tag when it is next. */
  #closes(name: string): boolean {
    const start = this.#next
    const token = this.#tag()
    if (token.kind === 'close' && token.name === name) return true
    this.#next = start
    return false
  }

  #tag(): Exclude<Token, { kind: 'text' }> {
    const token = this.#tokens[this.#next]
    this.#next += 1
    if (token === undefined) throw new PlistError('cut short')
    if (token.kind !== 'text') return token
    if (token.text.trim() !== '') throw new PlistError('text between elements')
    return this.#tag()
  }

  #text(name: string): string {
    let text = ''
    for (;;) {
      const token = this.#tokens[this.#next]
      this.#next += 1
      if (token === undefined) throw new PlistError('cut short')
      if (token.kind === 'text') text += token.text
      else if (token.kind === 'close' && token.name === name) return unescape(text)
      else throw new PlistError(`</${name}> was expected`)
    }
  }
}

function emptyValue(name: string): PlistValue {
  if (name === 'true') return true
  if (name === 'false') return false
  if (name === 'array') return []
  if (name === 'dict') return {}
  if (name === 'string') return ''
  throw new PlistError(`<${name}/> is not known`)
}

function scalar(name: string, text: string): PlistValue {
  if (name === 'string') return text
  if (name === 'integer' || name === 'real') return Number(text)
  if (name === 'data') return Buffer.from(text.replaceAll(/\s/g, ''), 'base64')
  if (name === 'true' || name === 'false') return name === 'true'
  if (name !== 'date') throw new PlistError(`<${name}> is not known`)
  const date = new Date(text)
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(text) || Number.isNaN(date.getTime())) throw new PlistError('no date')
  return date
}

function unescape(text: string): string {
  return text.replaceAll(
    /&(?:#(\d{1,7})|#x([0-9a-fA-F]{1,6})|(\w+));/g,
    (_, decimal, hex, name: string | undefined) => {
      const known = name === undefined ? undefined : entities[name]
      if (known !== undefined) return known
      const point = decimal === undefined ? Number.parseInt(String(hex), 16) : Number(decimal)
      if (name !== undefined || !(point <= 0x10ffff)) throw new PlistError('an unknown entity')
      return String.fromCodePoint(point)
    },
  )
}
