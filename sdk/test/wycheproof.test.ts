import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { importReleaseKey, type ReleaseError, type TrustedKey } from '../src/release/index.js'

interface Vectors {
  numberOfTests: number
  testGroups: {
    keySize: number
    publicKeyDer: string
    tests: { tcId: number; result: 'valid' | 'acceptable' | 'invalid'; flags: string[]; msg: string; sig: string }[]
  }[]
}

const folder = fileURLToPath(new URL('../vectors/wycheproof', import.meta.url))
const original = process.env['WYCHEPROOF_DIR'] ?? null
const sets = [2048, 3072, 4096].flatMap((bits) => [
  { name: `rsa_signature_${bits}_sha256`, bits, pss: false },
  { name: `rsa_pss_${bits}_sha256_mgf1_32`, bits, pss: true },
])
const plainIdentifier = Buffer.from('300d06092a864886f70d0101010500', 'hex')
const pssIdentifier = Buffer.from(
  '304106092a864886f70d01010a3034a00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120',
  'hex',
)

/** The vectors give RSA keys without a padding; a pinned key names its own. */
function pemOf(der: Buffer, pss: boolean): string {
  const bits = der.subarray(der.indexOf(plainIdentifier) + plainIdentifier.length)
  const content = Buffer.concat([pss ? pssIdentifier : plainIdentifier, bits])
  const spki = Buffer.concat([Buffer.from([0x30, 0x82, content.length >> 8, content.length & 255]), content])
  return `-----BEGIN PUBLIC KEY-----\n${spki.toString('base64')}\n-----END PUBLIC KEY-----\n`
}

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

describe.each(sets)('Wycheproof $name', ({ name, bits, pss }) => {
  test('no false accept and no false reject', { timeout: 60_000 }, async () => {
    const vectors = JSON.parse(gunzipSync(readFileSync(join(folder, `${name}.json.gz`))).toString()) as Vectors
    const verdicts = await judge(vectors, 'base64', pss, bits)
    expect(verdicts.accepted).toBeGreaterThanOrEqual(pss ? 14 : 6)
    expect(verdicts.refused).toBeGreaterThanOrEqual(pss ? 45 : 240)
    // The groups with a weak exponent are not verified at all: such a key cannot be pinned.
    expect(verdicts.refusedKeys.every((code) => code === 'KEY_EXPONENT')).toBe(true)
  })

  if (original === null) return
  test('the original file too', { timeout: 60_000 }, async () => {
    const path = join(original, `${name}_test.json`)
    const vectors = JSON.parse(readFileSync(path, 'utf8')) as Vectors
    const verdicts = await judge(vectors, 'hex', pss, bits)
    expect(verdicts.accepted + verdicts.refused).toBeGreaterThan(100)
  })
})
