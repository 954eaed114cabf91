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
  // Side by side instead of in a map: the names are few, and update checks read all of them.
  const names: string[] = []
  const texts: string[] = []
  const start = url.indexOf('?')
  const end = url.indexOf('#')
  const search = start < 0 ? '' : url.slice(start + 1, end < 0 ? undefined : end)
  const indexOrEnd = (sign: string, from: number) => {
    const index = search.indexOf(sign, from)
    return index < 0 ? search.length : index
  }
  for (let at = 0, equals = -1; at < search.length;) {
    const stop = indexOrEnd('&', at)
    // Looked for once, however many names have no value: a long query takes time by its length.
    if (equals < at) equals = indexOrEnd('=', at)
    names.push(decode(search.slice(at, Math.min(equals, stop))))
    texts.push(search.slice(equals + 1, stop))
    at = stop + 1
  }
  const textOf = (name: string) => texts[names.indexOf(name)] ?? ''
  const get = (name: string) => decode(textOf(name)) || null
  return {
    get,
    readings(name) {
      const value = get(name)
      if (value === null) return []
      const text = textOf(name)
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
