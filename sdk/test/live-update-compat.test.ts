import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { makeZip } from './make-zip.js'
import { appId, bundle, customer, platformKeys, rsaPair, shown, signBytes, stranger } from './update-fixture.js'
import { compat, useLab } from './update-lab.js'

const lab = useLab()
const { open, install, expectRefused } = lab

describe('compat profile', () => {
  test('a signed bundle is staged, launched on trial, confirmed, and is what the next start runs', async () => {
    await install('one')
    const updates = await open(compat)
    expect(await updates.sync()).toEqual({ status: 'up-to-date', bundleId: 'id-one' })
    expect(await updates.launch()).toMatchObject({ bundleId: 'id-one', nonce: null })
    expect(lab.server.requests[0]).toContain(`/v1/apps/${appId}/bundles/latest?`)
    const query = new URL(lab.server.requests[0]!.slice(4), lab.server.url).searchParams
    expect(Object.fromEntries(query)).toMatchObject({ channelName: 'production', platform: '2', appVersionCode: '7' })
    expect(query.get('bundleId')).toBeNull()
    expect(new URL(lab.server.requests[2]!.slice(4), lab.server.url).searchParams.get('bundleId')).toBe('id-one')
  })

  test('the signature may come with the answer, and a zip with one folder around it is understood', async () => {
    const zip = makeZip([
      { name: 'dist/index.html', content: '<p>inner</p>' },
      { name: 'dist/assets/app.js', content: 'show("inner")' },
    ])
    lab.server.publish('inner', zip, { signature: signBytes(zip) })
    const updates = await open(compat)
    await updates.sync()
    expect(shown((await updates.apply()).directory)).toBe('inner')
  })

  test.each([
    ['no header', {}, {}],
    ['an empty header', {}, { 'x-signature': '' }],
    ['the word null in the header', {}, { 'x-signature': 'null' }],
    ['white space', {}, { 'x-signature': ' \t ' }],
    ['an empty field', { signature: '' }, {}],
    ['null in the answer', { signature: null }, {}],
    ['the word null in the answer', { signature: 'null' }, {}],
    ['a correct checksum instead', { checksum: 'a' }, { 'x-checksum': 'a' }],
  ])('a stripped signature is refused: %s', async (_what, answer, headers) => {
    await install('one')
    lab.server.publish('two', bundle('two'), answer, headers)
    await expectRefused(await open(compat), 'SIGNATURE_MISSING', 'one')
  })

  test("another key's signature and every flipped bit of a sample are refused", async () => {
    await install('one')
    const zip = bundle('two')
    lab.server.publish('two', zip, {}, { 'x-signature': signBytes(zip, stranger) })
    await expectRefused(await open(compat), 'BAD_SIGNATURE', 'one')
    const updates = await open(compat)
    for (let sample = 0; sample < 64; sample++) {
      const flipped = zip.slice()
      const bit = Math.floor((sample / 64) * zip.length * 8)
      flipped[bit >> 3] = flipped[bit >> 3]! ^ (1 << (bit & 7))
      lab.server.publish('two', flipped, {}, { 'x-signature': signBytes(zip) })
      await expect(updates.sync(), `bit ${bit}`).rejects.toMatchObject({ code: 'BAD_SIGNATURE' })
    }
    expect(shown((await updates.launch()).directory)).toBe('one')
    lab.server.publish('two', zip, {}, { 'x-signature': signBytes(zip) })
    expect((await updates.sync()).status).toBe('staged')
  })

  test('a bundle left behind is not taken again, unless the app allows it', async () => {
    await install('one')
    await install('two')
    const zip = bundle('one')
    lab.server.publish('again', zip, {}, { 'x-signature': signBytes(zip) })
    await expectRefused(await open(compat), 'DOWNGRADE', 'two')
    await install('one', { ...compat, allowReturn: true })
  })

  test.each([
    ['a path that leaves the folder', [{ name: '../x', content: 'x' }], 'ARCHIVE_NAME_UNSAFE'],
    ['a symbolic link', [{ name: 'a', content: '/etc', attributes: 0o120777 * 0x10000 }], 'ARCHIVE_ENTRY_TYPE'],
    ['two names for one file', [{ name: 'INDEX.html', content: 'x' }], 'ARCHIVE_NAME_COLLISION'],
    ['content longer than declared', [{ name: 'a', content: 'x'.repeat(5000), size: 10 }], 'ARCHIVE_SIZE_MISMATCH'],
    ['content of another checksum', [{ name: 'a', content: 'x', crc: 7 }], 'ARCHIVE_CRC_MISMATCH'],
  ])('a signed archive with %s is refused whole', async (_what, entries, code) => {
    await install('one')
    const zip = makeZip([{ name: 'index.html', content: '<p>two</p>' }, ...entries])
    lab.server.publish('two', zip, {}, { 'x-signature': signBytes(zip) })
    await expectRefused(await open(compat), code, 'one')
    expect(readdirSync(join(lab.device.directory, 'bundles'))).toHaveLength(1)
  })

  test('an archive without a page is refused', async () => {
    const zip = makeZip([{ name: 'app.js', content: 'x' }])
    lab.server.publish('two', zip, {}, { 'x-signature': signBytes(zip) })
    await expectRefused(await open(compat), 'INDEX_MISSING', 'built-in')
  })
})

describe('configuration', () => {
  const weak = rsaPair(1024).publicKey
  test.each([
    ['an RSA key of 1024 bits', { publicKey: weak }, 'KEY_SIZE'],
    ['a private key', { publicKey: customer.privateKey }, 'KEY_PRIVATE'],
    ["the platform's key for releases", { publicKey: platformKeys.publicKey }, 'KEY_REUSED'],
    ['no key', { publicKey: [] }, 'CONFIG'],
    ['an empty key', { publicKey: '' }, 'KEY_NOT_PEM'],
    ['an RSA platform key', { platformKey: customer.publicKey }, 'KEY_ALGORITHM'],
    ['no platform key', { platformKey: undefined }, 'CONFIG'],
    ['no channel', { channel: '' }, 'CONFIG'],
    ['an unknown platform', { platform: 'toaster' }, 'CONFIG'],
    ['an unknown profile', { profile: 'none' }, 'CONFIG'],
    ['plain http', { serverUrl: 'http://updates.example.com' }, 'INSECURE_URL'],
    ['a password in the address', { serverUrl: 'https://a:b@updates.example.com' }, 'INSECURE_URL'],
    ['no address', { serverUrl: 'updates' }, 'INSECURE_URL'],
    ['no directory', { directory: '' }, 'CONFIG'],
  ])('%s stops at start', async (_what, change, code) => {
    await expect(open(change)).rejects.toMatchObject({ code })
  })

  test('a directory of another app is refused', async () => {
    await (await open()).launch()
    await expect((await open({ appId: 'other' })).launch()).rejects.toMatchObject({ code: 'CONFIG' })
  })
})
