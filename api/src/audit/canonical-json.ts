/** What may stand in an audit event: the values for which RFC 8785 has one encoding in every language. */
export type CanonicalValue =
  | string
  | number
  | boolean
  | null
  | readonly CanonicalValue[]
  | { readonly [key: string]: CanonicalValue }

const MAX_DEPTH = 16

/**
 * RFC 8785 canonical JSON of plain data: keys sorted by UTF-16 code units, integers up to 2^53 - 1, strings in NFC
 * without lone surrogates. Throws `TypeError` for anything else, so that nothing is lost silently.
 */
export function canonicalJson(value: CanonicalValue, depth = 0): string {
  if (depth > MAX_DEPTH) throw new TypeError('Canonical JSON is nested too deeply.')
  if (value === null || typeof value === 'boolean') return String(value)
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value) || Object.is(value, -0)) throw new TypeError('Only safe integers are canonical.')
    return String(value)
  }
  if (typeof value === 'string') return canonicalString(value)
  if (Array.isArray(value)) {
    const items: readonly CanonicalValue[] = value
    if (Object.keys(items).length !== items.length) throw new TypeError('Sparse arrays are not canonical.')
    return `[${items.map((item) => canonicalJson(item, depth + 1)).join(',')}]`
  }
  if (typeof value !== 'object' || ![Object.prototype, null].includes(Object.getPrototypeOf(value))) {
    throw new TypeError('Only plain data is canonical.')
  }
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${entries.map(([key, item]) => `${canonicalString(key)}:${canonicalJson(item, depth + 1)}`).join(',')}}`
}

function canonicalString(text: string): string {
  if (!text.isWellFormed() || text.normalize('NFC') !== text) {
    throw new TypeError('Only well-formed NFC strings are canonical.')
  }
  return JSON.stringify(text)
}

/** Text from outside made fit for `canonicalJson`. */
export function canonicalText(text: string): string {
  return text.toWellFormed().normalize('NFC')
}

/** The same for every text in plain data. */
export function canonicalData(value: CanonicalValue): CanonicalValue {
  if (typeof value === 'string') return canonicalText(value)
  if (Array.isArray(value)) return (value as readonly CanonicalValue[]).map(canonicalData)
  if (value === null || typeof value !== 'object') return value
  const entries = Object.entries(value as Record<string, CanonicalValue>)
  return Object.fromEntries(entries.map(([key, item]) => [canonicalText(key), canonicalData(item)]))
}
