import { createHash, generateKeyPairSync } from 'node:crypto'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { importPlatformSigner, sealEnvelope } from '../src/release/index.js'
import { at, capstan, useHome } from './cli-lab.js'

useHome()
const keys = (...args: string[]) => capstan(['keys', ...args])

describe('keys init', () => {
  test('makes a master key file, closed, with a check sum', async () => {
    expect((await keys('init', at('master.key'), '--id', 'main')).code).toBe(0)
    expect(statSync(at('master.key')).mode & 0o777).toBe(0o400)
    const [, text, sum] = /^(mk1:main:[A-Za-z0-9+/]{43}=):([0-9a-f]{8})\n$/.exec(
      readFileSync(at('master.key'), 'utf8'),
    )!
    expect(sum).toBe(crc32(text!).toString(16).padStart(8, '0'))
  })

  test('never writes over a file', async () => {
    await keys('init', at('master.key'))
    const before = readFileSync(at('master.key'))
    const { code, err } = await keys('init', at('master.key'))
    expect([code, err[0]]).toMatchObject([1, expect.stringContaining('exists already') as string])
    expect(readFileSync(at('master.key'))).toEqual(before)
  })

  test('puts the new key before the older ones, and no id twice', async () => {
    await keys('init', at('old'), '--id', 'old')
    expect((await keys('init', at('new'), '--id', 'new', '--keep', at('old'))).code).toBe(0)
    const lines = readFileSync(at('new'), 'utf8').trim().split('\n')
    expect(lines.map((line) => line.split(':')[1])).toEqual(['new', 'old'])
    expect(lines[1]).toBe(readFileSync(at('old'), 'utf8').trim())
    expect((await keys('init', at('again'), '--id', 'old', '--keep', at('old'))).err[0]).toContain('KEY_ID_TAKEN')
    expect((await keys('init', at('again'), '--keep', at('token'))).err[0]).toContain('KEY_FILE')
    expect((await keys('init', at('again'), '--id', 'Bad Id')).code).toBe(2)
  })

  test('no key is printed', async () => {
    const { out, err } = await keys('init', at('master.key'))
    const secret = readFileSync(at('master.key'), 'utf8').split(':')[2]!
    expect([...out, ...err].join('\n')).not.toContain(secret)
  })
})

describe('keys inspect', () => {
  const vectors = new URL('../../api/test/vectors/envelope.json', import.meta.url)
  const { envelope: vector } = JSON.parse(readFileSync(vectors, 'utf8')) as {
    envelope: { envelopeHex: string; kekId: string; kekVersion: number; plaintext: string }
  }
  const { envelopeHex } = vector
  const shown = {
    suite: 1,
    kekId: vector.kekId,
    kekVersion: vector.kekVersion,
    wrappedKeyBytes: 60,
    payloadBytes: vector.plaintext.length,
  }

  test.each([
    ['bytes', Buffer.from(envelopeHex, 'hex')],
    ['hex as psql prints it', `\\x${envelopeHex}\n`],
  ])('shows what stands in the clear, from %s', async (_, content) => {
    writeFileSync(at('envelope'), content)
    const { code, out } = await keys('inspect', at('envelope'))
    expect([code, JSON.parse(out[0]!)]).toEqual([0, shown])
  })

  test.each([
    ['half of one', envelopeHex.slice(0, 200)],
    ['one with a byte too many', `${envelopeHex}00`],
    ['something else', 'hello'],
    ['nothing', ''],
  ])('refuses %s', async (_, content) => {
    writeFileSync(at('envelope'), content)
    const { code, err } = await keys('inspect', at('envelope'))
    expect([code, err[0]]).toEqual([1, expect.stringContaining('ENVELOPE_MALFORMED')])
  })
})

describe('keys verify', () => {
  const pair = () =>
    generateKeyPairSync('ed25519', {
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    })
  const [mine, other] = [pair(), pair()]
  const type = 'application/vnd.capstan.deletion-certificate+json'
  const statement = {
    v: 1,
    id: 'i',
    org: 'o',
    subject: { kind: 'credential', id: 'c' },
    versions: [{ credential: 'c', version: 1, fingerprint: 'ff', kekId: 'org:o', kekVersion: 2 }],
    destroyedAt: '2026-01-01T00:00:00.000Z',
    backupsUntil: '2026-01-08T00:00:00.000Z',
  }
  const write = async (payloadType = type, change = {}) => {
    const payload = Buffer.from(JSON.stringify({ ...statement, ...change }))
    const envelope = await sealEnvelope(payloadType, payload, [await importPlatformSigner(mine.privateKey, 'k')])
    writeFileSync(at('certificate.json'), JSON.stringify(envelope))
    writeFileSync(at('mine.pem'), mine.publicKey)
    writeFileSync(at('other.pem'), other.publicKey)
    return envelope
  }
  const verify = (key: string) => keys('verify', at('certificate.json'), '--key', at(key))

  test('says what is destroyed and until when backups may exist', async () => {
    await write()
    const { code, out } = await verify('mine.pem')
    expect(code).toBe(0)
    expect(out[0]).toBe('destroyed: credential c of o at 2026-01-01T00:00:00.000Z')
    expect(out.at(-1)).toBe('backups of the key store may exist until 2026-01-08T00:00:00.000Z')
  })

  test('refuses another key, an altered statement, another kind of statement, a newer one, and text', async () => {
    const envelope = await write()
    expect((await verify('other.pem')).err[0]).toContain('BAD_SIGNATURE')
    const payload = Buffer.from(JSON.stringify({ ...statement, org: 'x' })).toString('base64')
    writeFileSync(at('certificate.json'), JSON.stringify({ ...envelope, payload }))
    expect((await verify('mine.pem')).err[0]).toContain('BAD_SIGNATURE')
    await write('application/vnd.capstan.release+json')
    expect((await verify('mine.pem')).err[0]).toContain('BAD_SIGNATURE')
    await write(type, { v: 2 })
    expect((await verify('mine.pem')).err[0]).toContain('CERTIFICATE_VERSION')
    writeFileSync(at('certificate.json'), 'hello')
    expect((await verify('mine.pem')).err[0]).toContain('CERTIFICATE_MALFORMED')
    expect((await verify('token')).err[0]).toContain('CERTIFICATE_MALFORMED')
    await write()
    expect((await verify('token')).err[0]).toContain('KEY_MALFORMED')
  })
})

describe('keys restore', () => {
  const records = [{ org: '00000000-0000-7000-8000-000000000001', name: 'key-00000001', b64: 'AAAA' }]
  const backupOf = (content: object[]) => ({
    format: 'capstan-key-store-1',
    createdAt: 'now',
    root: 'local:x',
    records: content,
    sha256: createHash('sha256').update(JSON.stringify(content)).digest('hex'),
  })
  const restore = (content: unknown) => {
    writeFileSync(at('backup'), JSON.stringify(content))
    return keys('restore', at('backup'), at('store'))
  }

  test('unpacks into a new closed folder, once', async () => {
    expect((await restore(backupOf(records))).code).toBe(0)
    const file = at('store', records[0]!.org, 'key-00000001')
    expect(readFileSync(file).toString('hex')).toBe('000000')
    expect([statSync(at('store')).mode & 0o777, statSync(file).mode & 0o777]).toEqual([0o700, 0o600])
    expect((await restore(backupOf(records))).err[0]).toContain('exists already')
  })

  test('refuses what is damaged or would leave the folder', async () => {
    expect((await restore({ ...backupOf(records), records: [] })).err[0]).toContain('BACKUP_DAMAGED')
    for (const bad of [{ name: '../x' }, { org: '..' }, { name: 'a/b' }]) {
      expect((await restore(backupOf([{ ...records[0], ...bad }]))).err[0]).toContain('BACKUP_DAMAGED')
    }
    expect((await restore('x')).err[0]).toContain('BACKUP_MALFORMED')
  })
})

describe('keys', () => {
  test('without a broker says where it was looked for', async () => {
    const { code, err } = await keys('status', '--socket', at('none.sock'))
    expect([code, err[0]]).toEqual([1, expect.stringMatching(/none\.sock \(ENOENT\).*BROKER_UNREACHABLE/)])
  })

  test.each([
    ['turn'],
    [],
    ['rotate', '--socket', 'x'],
    ['rotate', '--socket', 'x', '--all', '--org', 'y'],
    ['backup', 'x'],
  ])('wrong usage: %j', async (...args) => expect((await keys(...args)).code).toBe(2))
})
