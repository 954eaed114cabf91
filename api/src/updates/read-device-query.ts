import { Problem } from '../problems.js'

export type DeviceQuery = {
  /** The value, or null: platforms send null as a missing key, a key without a value, or an empty one. */
  get(name: string): string | null
  /** The ways to read a value, the likelier first: a plus is a plus on devices, and a space in forms. */
  readings(name: string): string[]
}

/**
 * The query of a device as RFC 3986 has it. Android sends a plus as %2B, iOS leaves it as it is, the official CLI
 * sends a space as a plus; so form decoding is only the second reading.
 */
export function readDeviceQuery(url: string): DeviceQuery {
  const raw = new Map<string, string>()
  const start = url.indexOf('?')
  const end = url.indexOf('#')
  const search = start < 0 ? '' : url.slice(start + 1, end < 0 ? undefined : end)
  for (let at = 0; at < search.length;) {
    const next = search.indexOf('&', at)
    const stop = next < 0 ? search.length : next
    const equals = search.indexOf('=', at)
    const hasValue = equals >= 0 && equals < stop
    const name = decode(search.slice(at, hasValue ? equals : stop))
    if (!raw.has(name)) raw.set(name, hasValue ? search.slice(equals + 1, stop) : '')
    at = stop + 1
  }
  const get = (name: string) => decode(raw.get(name) ?? '') || null
  return {
    get,
    readings(name) {
      const value = get(name)
      if (value === null) return []
      const text = raw.get(name) ?? ''
      if (!text.includes('+')) return [value]
      return [value, decode(text.replaceAll('+', ' '))]
    },
  }
}

function decode(text: string): string {
  if (!text.includes('%')) return text
  let value: string
  try {
    value = decodeURIComponent(text)
  } catch {
    throw new Problem('request-malformed', 'The query is not percent-encoded UTF-8.')
  }
  if (value.includes('\0')) throw new Problem('request-malformed', 'The query holds a NUL character.')
  return value
}
