import { Problem } from '../problems.js'
import type { ByteRange } from './object-store.js'

/**
 * A `Range` header as bytes of an object (RFC 9110 §14). Undefined when the whole object is to be sent: several ranges
 * or another unit may be ignored. One range that the object does not have is refused.
 */
export function parseRange(header: string, sizeBytes: number): ByteRange | undefined {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header.trim())
  if (match === null || (match[1] === '' && match[2] === '')) return undefined
  const [first, last] = [match[1], match[2]].map((text) => (text ? Number(text) : undefined))
  if (first === undefined) {
    const start = Math.max(sizeBytes - (last ?? 0), 0)
    if (last === 0 || sizeBytes === 0) throw unsatisfiable(sizeBytes)
    return { start }
  }
  if (last !== undefined && last < first) return undefined
  if (first >= sizeBytes) throw unsatisfiable(sizeBytes)
  return { start: first, ...(last !== undefined && { end: last }) }
}

function unsatisfiable(sizeBytes: number): Problem {
  return new Problem('range-invalid', `The object has ${sizeBytes} bytes; the range asked for is not among them.`)
}
