import { execFileSync } from 'node:child_process'
import { createHash, createPublicKey, verify } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { validateArchive } from '../src/archive/index.js'
import {
  type DeviceFacts,
  type Envelope,
  importReleaseKey,
  parseReleaseStatement,
  preAuthenticationEncoding,
  decodeBase64,
  ReleaseError,
  type Trust,
  trustOf,
  verifyArchiveBytes,
  verifyFiles,
  verifyRelease,
} from '../src/release/index.js'

interface Vector {
  name: string
  expect: string | null
  device: DeviceFacts
  release: Envelope
  channelStatement: Envelope
}
const read = (name: string): unknown => JSON.parse(readFileSync(new URL(`../vectors/${name}`, import.meta.url), 'utf8'))
interface VectorFile {
  releaseKey: string
  platformKey: string
  archive: string
  vectors: Vector[]
}
const file = read('release-vectors.json') as VectorFile
const trustIn = ({ releaseKey, platformKey }: VectorFile): Promise<Trust> =>
  trustOf({ version: 1, releaseKeys: [releaseKey], platformKeys: [platformKey], revokedBundleIds: ['revoked-1'] })
const trust = await trustIn(file)

const codeOf = async (attempt: () => Promise<unknown>): Promise<string | null> => {
  try {
    await attempt()
    return null
  } catch (error) {
    if (error instanceof ReleaseError) return error.code
    throw error
  }
}

describe('release vectors', () => {
  test.each(file.vectors.map((vector) => [vector.name, vector] as const))('%s', async (_name, vector) => {
    expect(await codeOf(() => verifyRelease(vector, trust, vector.device))).toBe(vector.expect)
  })

  test('the writer of the vectors writes the same cases, and they get the same verdicts', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'capstan-vectors-'))
    const writer = fileURLToPath(new URL('../vectors/write-release-vectors.mjs', import.meta.url))
    execFileSync(process.execPath, [writer, join(folder, 'fresh.json')])
    const fresh = JSON.parse(readFileSync(join(folder, 'fresh.json'), 'utf8')) as VectorFile
    rmSync(folder, { recursive: true })
    const freshTrust = await trustIn(fresh)
    for (const vector of fresh.vectors) {
      expect(await codeOf(() => verifyRelease(vector, freshTrust, vector.device)), vector.name).toBe(vector.expect)
    }
    const cases = ({ vectors }: VectorFile): unknown[] => vectors.map(({ name, expect }) => [name, expect])
    expect(cases(fresh)).toEqual(cases(file))
  })

  const accepted = file.vectors[0]!
  const archive = Buffer.from(file.archive, 'base64')
  const statement = parseReleaseStatement(Buffer.from(accepted.release.payload, 'base64'))

  test('the archive of the vectors is accepted, and each deviation from the signed list is refused', async () => {
    const files = await validateArchive(archive)
    await verifyArchiveBytes(statement, archive)
    verifyFiles(statement, files)
    expect(await codeOf(() => verifyArchiveBytes(statement, archive.subarray(1)))).toBe('SIZE_MISMATCH')
    const flipped = Uint8Array.from(archive)
    flipped[40] = flipped[40]! ^ 1
    expect(await codeOf(() => verifyArchiveBytes(statement, flipped))).toBe('HASH_MISMATCH')
    const [first, ...rest] = files
    const differ: [string, typeof files][] = [
      ['FILES_DIFFER', rest],
      ['FILES_DIFFER', [...files, { path: 'more', sha256: 'a'.repeat(64), size: 1 }]],
      ['FILES_DIFFER', [{ ...first!, path: 'renamed' }, ...rest]],
      ['FILE_MISMATCH', [{ ...first!, sha256: 'a'.repeat(64) }, ...rest]],
      ['FILE_MISMATCH', [{ ...first!, size: first!.size + 1 }, ...rest]],
    ]
    for (const [code, list] of differ) expect(await codeOf(async () => verifyFiles(statement, list))).toBe(code)
  })

  test('every flipped bit of a sample of 64, in payloads and signatures, is refused', async () => {
    for (const which of ['release', 'channelStatement'] as const) {
      for (let sample = 0; sample < 64; sample++) {
        const inPayload = sample % 2 === 0
        const envelope = structuredClone(accepted[which])
        const bytes = Buffer.from(inPayload ? envelope.payload : envelope.signatures[0]!.sig, 'base64')
        const bit = Math.floor((sample / 64) * bytes.length * 8) + (sample % 8)
        bytes[bit >> 3] = bytes[bit >> 3]! ^ (1 << (bit & 7))
        if (inPayload) envelope.payload = bytes.toString('base64')
        else envelope.signatures[0]!.sig = bytes.toString('base64')
        const changed = { ...accepted, [which]: envelope }
        expect(await codeOf(() => verifyRelease(changed, trust, accepted.device)), `${which} bit ${bit}`).toBe(
          'BAD_SIGNATURE',
        )
      }
    }
  })

  test('one good signature among bad ones is enough, none is not', async () => {
    const bad = { keyid: 'x', sig: Buffer.alloc(256).toString('base64') }
    const release = { ...accepted.release, signatures: [bad, ...accepted.release.signatures] }
    expect(await codeOf(() => verifyRelease({ ...accepted, release }, trust, accepted.device))).toBeNull()
    release.signatures = [bad, bad]
    expect(await codeOf(() => verifyRelease({ ...accepted, release }, trust, accepted.device))).toBe('BAD_SIGNATURE')
    release.signatures = Array.from({ length: 9 }, () => accepted.release.signatures[0]!)
    expect(await codeOf(() => verifyRelease({ ...accepted, release }, trust, accepted.device))).toBe(
      'ENVELOPE_MALFORMED',
    )
  })
})

describe('shared vectors', () => {
  test('the pre-authentication encoding is the published one', () => {
    const { liveUpdate } = read('dsse.json') as {
      liveUpdate: { payload: string; payloadType: string; paeHex: string; paeSha256: string }
    }
    const encoded = preAuthenticationEncoding(liveUpdate.payloadType, Buffer.from(liveUpdate.payload))
    expect(Buffer.from(encoded).toString('hex')).toBe(liveUpdate.paeHex)
    expect(createHash('sha256').update(encoded).digest('hex')).toBe(liveUpdate.paeSha256)
  })

  const forgeries = read('rsa-pkcs1v15-forgeries-e3.json') as {
    vectors: { bits: number; class: string; publicKeyPem: string; message: string; signatureB64: string }[]
  }
  test.each(forgeries.vectors.map((vector) => [`${vector.bits} ${vector.class}`, vector] as const))(
    'forgery %s is refused by the key policy and by the primitive below it',
    async (_name, vector) => {
      await expect(importReleaseKey(vector.publicKeyPem)).rejects.toMatchObject({ code: 'KEY_EXPONENT' })
      const der = createPublicKey(vector.publicKeyPem).export({ type: 'spki', format: 'der' })
      const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
      const key = await crypto.subtle.importKey('spki', new Uint8Array(der), algorithm, false, ['verify'])
      const signature = decodeBase64(vector.signatureB64)!
      const message = Buffer.from(vector.message)
      expect(await crypto.subtle.verify(algorithm.name, key, signature, message)).toBe(false)
      expect(verify('sha256', message, vector.publicKeyPem, signature)).toBe(false)
    },
  )
})
