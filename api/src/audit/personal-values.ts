import { createHash, randomBytes } from 'node:crypto'
import { canonicalData, canonicalJson, type CanonicalValue } from './canonical-json.js'

const DOMAIN = 'audit-personal-v1\0'

/** `value` is canonical JSON; with the salt gone nobody can try values against the commitment. */
export type PersonalValue = { name: string; salt: Buffer; value: string }

export function commitTo(values: Record<string, CanonicalValue>): PersonalValue[] {
  return Object.entries(values)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => ({ name, salt: randomBytes(32), value: canonicalJson(canonicalData(value)) }))
}

export function commitmentsOf(values: readonly PersonalValue[]): Record<string, string> {
  return Object.fromEntries(
    values.map(({ name, salt, value }) => [
      name,
      createHash('sha256').update(DOMAIN).update(salt).update(value).digest('hex'),
    ]),
  )
}
