import { execFileSync, spawnSync } from 'node:child_process'
import { createHash, createSign, generateKeyPairSync } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { validateArchive } from '../src/archive/index.js'
import { importReleaseKey, openEnvelope, parseReleaseStatement, payloadTypes } from '../src/release/index.js'
import { at, capstan, useHome } from './cli-lab.js'
import { makeZip } from './make-zip.js'
import { customer } from './update-fixture.js'

useHome()

describe('the command line', () => {
  test('says what there is, and refuses what there is not', async () => {
    const help = await capstan(['--help'])
    expect(help).toMatchObject({ code: 0, err: [] })
    for (const name of ['keygen', 'sign', 'publish', 'register-key', 'verify-audit']) {
      expect(help.out[0]).toContain(name)
      expect((await capstan([name, '--help'])).out[0]).toContain(`capstan ${name}`)
    }
    expect(await capstan([])).toMatchObject({ code: 2, out: [] })
    expect(await capstan(['__proto__'])).toMatchObject({ code: 2, err: [expect.stringContaining('not a command')] })
    expect(await capstan(['keygen', '--nonsense'])).toMatchObject({ code: 2 })
    expect(await capstan(['keygen', 'extra'])).toMatchObject({ code: 2, err: [expect.stringContaining('"extra"')] })
    expect(await capstan(['sign'])).toMatchObject({ code: 2, err: [expect.stringContaining('PATH')] })
  })

  test('the installed command runs and gives its exit code', () => {
    const bin = fileURLToPath(new URL('../bin/capstan.js', import.meta.url))
    expect(execFileSync(process.execPath, [bin, '--help'], { encoding: 'utf8' })).toContain('verify-audit')
    const refused = spawnSync(process.execPath, [bin, 'sign', at('web'), '--key', at('none')], { encoding: 'utf8' })
    expect(refused).toMatchObject({ status: 1, stdout: '' })
    expect(refused.stderr).toBe(`capstan sign: Cannot read ${at('none')}: there is no such file or folder. (FILE)\n`)
  })
})

describe('keygen', () => {
  test('makes a private key for the user alone and a public key that devices accept, and overwrites nothing', async () => {
    const args = ['keygen', '--private', at('k.pem'), '--bits', '2048']
    const made = await capstan(args)
    expect(made).toMatchObject({ code: 0, err: [] })
    expect(statSync(at('k.pem')).mode & 0o777).toBe(0o600)
    const key = await importReleaseKey(readFileSync(at('k.pub.pem'), 'utf8'))
    expect(made.out[2]).toContain(key.keyId)
    const before = readFileSync(at('k.pem'), 'utf8')
    expect(await capstan(args)).toMatchObject({ code: 1, err: [expect.stringContaining('not overwritten')] })
    expect(readFileSync(at('k.pem'), 'utf8')).toBe(before)
    rmSync(at('k.pem'))
    expect(await capstan(args)).toMatchObject({ code: 1 })
    expect(readdirSync(at())).not.toContain('k.pem')
  })

  test('a size below the policy is refused', async () => {
    expect(await capstan(['keygen', '--private', at('k.pem'), '--bits', '1024'])).toMatchObject({ code: 2 })
    expect(readdirSync(at())).not.toContain('k.pem')
  })
})

describe('sign', () => {
  test('packs a folder the same way each time and signs as the official tool does', async () => {
    const first = await capstan(['sign', at('web'), '--key', at('key.pem'), '--zip', at('a.zip')])
    const second = await capstan(['sign', at('web'), '--key', at('key.pem'), '--zip', at('b.zip')])
    expect(first).toMatchObject({ code: 0, err: [] })
    expect(second.out).toEqual(first.out)
    const zip = readFileSync(at('a.zip'))
    expect(readFileSync(at('b.zip')).equals(zip)).toBe(true)
    expect((await validateArchive(zip)).map((file) => file.path)).toEqual(['assets/app.js', 'index.html'])
    expect(first.out).toEqual([createSign('sha256').update(zip).sign(customer.privateKey, 'base64')])
    expect((await capstan(['sign', at('a.zip'), '--key', at('key.pem')])).out).toEqual(first.out)
  })

  test('takes a PKCS#1 key, too', async () => {
    const pair = generateKeyPairSync('rsa', { modulusLength: 2048 })
    writeFileSync(at('pkcs1.pem'), pair.privateKey.export({ type: 'pkcs1', format: 'pem' }))
    expect(await capstan(['sign', at('web'), '--key', at('pkcs1.pem'), '--zip', at('a.zip')])).toMatchObject({
      code: 0,
    })
  })

  test('writes a release statement that says exactly what was asked', async () => {
    const about = ['--app', 'app', '--channels', 'production,beta', '--bundle', 'b7', '--sequence', '7']
    const more = ['--platforms', 'android,electron', '--min-native', '1.2', '--expires-days', '30', '--restores', 'b5']
    const signed = await capstan([
      'sign',
      at('web'),
      '--key',
      at('key.pem'),
      '--zip',
      at('a.zip'),
      '--release',
      at('r.json'),
      ...about,
      ...more,
    ])
    expect(signed).toMatchObject({ code: 0 })
    const envelope: unknown = JSON.parse(readFileSync(at('r.json'), 'utf8'))
    const opened = await openEnvelope(envelope, payloadTypes.release, [await importReleaseKey(customer.publicKey)])
    const statement = parseReleaseStatement(opened.payload)
    const zip = readFileSync(at('a.zip'))
    expect(statement).toMatchObject({
      appId: 'app',
      channels: ['production', 'beta'],
      platforms: ['android', 'electron'],
      bundleId: 'b7',
      sequence: 7,
      minNativeVersion: '1.2',
      maxNativeVersion: null,
      restores: 'b5',
      archive: { sha256: createHash('sha256').update(zip).digest('hex'), size: zip.length },
    })
    expect(Date.parse(statement.expiresAt) - Date.parse(statement.createdAt)).toBe(30 * 86_400_000)
    expect(statement.files).toEqual(await validateArchive(zip))
    expect(signed.err).toEqual([`release 7 is ${opened.sha256}`])
  })

  test.each([
    ['a folder without --zip', () => ['web'], 2, '--zip is missing'],
    ['a release without an app', () => ['web', '--zip', 'a.zip', '--release', 'r.json'], 2, '--app is missing'],
    [
      'a sequence that is no number',
      () => ['web', '--zip', 'a.zip', '--release', 'r.json', '--sequence', '1e3'],
      2,
      'whole number',
    ],
    [
      'an unknown platform',
      () => ['web', '--zip', 'a.zip', '--release', 'r.json', '--platforms', 'toaster'],
      2,
      'toaster',
    ],
    ['a path that is not there', () => ['none'], 1, '(FILE)'],
    ['a zip that is none', () => (writeFileSync(at('x.zip'), 'hello'), ['x.zip']), 1, '(ARCHIVE_NOT_ZIP)'],
    [
      'a zip that devices refuse',
      () => (writeFileSync(at('x.zip'), makeZip([{ name: '../x', content: 'x' }])), ['x.zip']),
      1,
      '(ARCHIVE_NAME_UNSAFE)',
    ],
    [
      'a folder without a page',
      () => (mkdirSync(at('empty')), writeFileSync(at('empty', 'a.js'), ''), ['empty', '--zip', 'a.zip']),
      1,
      '(INDEX_MISSING)',
    ],
    [
      'a folder with a link',
      () => (symlinkSync('/etc/hostname', at('web', 'link')), ['web', '--zip', 'a.zip']),
      1,
      '(ARCHIVE_ENTRY_TYPE)',
    ],
  ])('%s is refused in one sentence and leaves no file', async (_what, arrange, code, words) => {
    const args = arrange().map((word) => (/^(web|none|empty|.*\.(zip|json))$/.test(word) ? at(word) : word))
    const before = readdirSync(at())
    const refused = await capstan(['sign', ...args, '--key', at('key.pem')])
    expect(refused).toMatchObject({ code, out: [], err: [expect.stringContaining(words)] })
    expect(readdirSync(at())).toEqual(before)
  })

  test.each([
    [
      'an EC key',
      () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }),
      'KEY_ALGORITHM',
    ],
    [
      'a small key',
      () => generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey.export({ type: 'pkcs8', format: 'pem' }),
      'KEY_SIZE',
    ],
    ['a public key', () => customer.publicKey, 'KEY_NOT_PEM'],
    [
      'an encrypted key',
      () =>
        generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({
          type: 'pkcs8',
          format: 'pem',
          cipher: 'aes-256-cbc',
          passphrase: 'x',
        }),
      'KEY_ENCRYPTED',
    ],
  ])('%s is refused', async (_what, key, code) => {
    writeFileSync(at('bad.pem'), key())
    expect(await capstan(['sign', at('web'), '--key', at('bad.pem'), '--zip', at('a.zip')])).toMatchObject({
      code: 1,
      err: [expect.stringContaining(`(${code})`)],
    })
  })
})
