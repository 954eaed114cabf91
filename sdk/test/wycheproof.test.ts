import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { importReleaseKey, type ReleaseError, type TrustedKey } from '../src/release/index.js'
import { pemOf, readVectors, type Vectors, vectorSets } from './wycheproof.js'

const original = process.env['WYCHEPROOF_DIR'] ?? null

async function judge(vectors: Vectors, encoding: 'base64' | 'hex', pss: boolean, bits: number) {
  const verdicts = { accepted: 0, refused: 0, refusedKeys: [] as string[] }
  for (const group of vectors.testGroups) {
    const pem = pemOf(Buffer.from(group.publicKeyDer, encoding), pss)
    let key: TrustedKey
    try {
      key = await importReleaseKey(pem)
    } catch (error) {
      verdicts.refusedKeys.push((error as ReleaseError).code)
      continue
    }
    expect(group.keySize).toBe(bits)
    for (const { tcId, result, flags, msg, sig } of group.tests) {
      const accepted = await key.verify(Buffer.from(msg, encoding), Buffer.from(sig, encoding))
      // "acceptable" is a DigestInfo without its NULL: RFC 8017 wants it there, and so do we.
      expect(accepted, `case ${tcId} (${flags.join()})`).toBe(result === 'valid')
      verdicts[accepted ? 'accepted' : 'refused']++
    }
  }
  return verdicts
}

describe.each(vectorSets)('Wycheproof $name', ({ name, bits, pss }) => {
  test('no false accept and no false reject', async () => {
    const verdicts = await judge(readVectors(name), 'base64', pss, bits)
    expect(verdicts.accepted).toBeGreaterThanOrEqual(pss ? 14 : 6)
    expect(verdicts.refused).toBeGreaterThanOrEqual(pss ? 45 : 240)
    // The groups with a weak exponent are not verified at all: such a key cannot be pinned.
    expect(verdicts.refusedKeys.every((code) => code === 'KEY_EXPONENT')).toBe(true)
  })

  if (original === null) return
  test('the original file too', async () => {
    const path = join(original, `${name}_test.json`)
    const vectors = JSON.parse(readFileSync(path, 'utf8')) as Vectors
    const verdicts = await judge(vectors, 'hex', pss, bits)
    expect(verdicts.accepted + verdicts.refused).toBeGreaterThan(100)
  })
})
