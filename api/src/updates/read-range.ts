import type { ByteRange } from '../objects/object-store.js'

/**
 * The one range that a `Range` header asks for (RFC 9110 §14.2). Anything else, several ranges too, counts as not
 * asked for, which the standard allows.
 */
export function readRange(header: string | undefined, sizeBytes: number): ByteRange | null {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header?.trim() ?? '')
  if (!match) return null
  const [, first = '', last = ''] = match
  if (first !== '') {
    if (last !== '' && Number(last) < Number(first)) return null
    return { start: Number(first), ...(last === '' ? {} : { end: Number(last) }) }
  }
  if (last === '') return null
  return { start: Number(last) === 0 ? sizeBytes : Math.max(0, sizeBytes - Number(last)) }
}
