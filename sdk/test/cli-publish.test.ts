import { createHash, createSign, randomBytes } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createLiveUpdate } from '../src/live-update/node/index.js'
import {
  importPlatformKey,
  importReleaseKey,
  openEnvelope,
  parseReleaseStatement,
  payloadTypes,
} from '../src/release/index.js'
import { at, capstan, useHome } from './cli-lab.js'
import { type PublishServer, startPublishServer } from './publish-server.js'
import { customer, makeDevice, platformKeys, releaseOf, shown, stranger } from './update-fixture.js'

useHome()

describe('publish', () => {
  let api: PublishServer
  beforeAll(async () => {
    api = await startPublishServer()
  })
  beforeEach(() => {
    api.calls.length = 0
    api.refuse = null
  })
  afterAll(() => new Promise((resolve) => api.server.close(resolve)))
  const args = (...more: string[]): string[] => [
    'publish',
    at('web'),
    '--app',
    'app',
    '--channel',
    'production',
    '--key',
    at('key.pem'),
    '--server',
    api.url,
    ...more,
  ]

  test('signs here, uploads the zip, and sends a release that a device installs', async () => {
    const published = await capstan(
      args('--token-file', at('token'), '--platforms', 'electron', '--sequence', '3', '--rollout', '0.5', '--json'),
    )
    expect(published).toMatchObject({ code: 0 })
    expect(JSON.parse(published.out[0]!)).toMatchObject({
      bundleId: 'bundle-1',
      deploymentId: 'deployment-1',
      sequence: 3,
    })
    expect(api.calls.map((call) => call.line)).toEqual([
      'POST /v1/apps/app/bundles',
      'POST /v1/apps/app/bundles/bundle-1/files',
      'PATCH /v1/apps/app/bundles/bundle-1',
    ])
    expect(new Set(api.calls.map((call) => call.token))).toEqual(new Set(['Bearer ca_0123456789']))
    expect(api.calls[0]!.body).toEqual({
      appId: 'app',
      artifactType: 'zip',
      channelName: 'production',
      rolloutPercentage: 0.5,
    })
    const file = api.calls[1]!.body as Record<string, string> & { file: Buffer }
    expect(Object.keys(file)).toEqual(['checksum', 'file', 'mimeType', 'name', 'signature', 'sizeInBytes'])
    expect(file['checksum']).toBe(createHash('sha256').update(file.file).digest('hex'))
    expect(file['signature']).toBe(createSign('sha256').update(file.file).sign(customer.privateKey, 'base64'))
    const patch = api.calls[2]!.body as { release: unknown; artifactStatus: string; appBundleFileId: string }
    expect(patch).toMatchObject({ artifactStatus: 'ready', appBundleFileId: 'file-1' })
    await expectInstalls(file.file, patch.release, 'app')
  })

  async function expectInstalls(zip: Buffer, release: unknown, appId: string): Promise<void> {
    const opened = await openEnvelope(release, payloadTypes.release, [await importReleaseKey(customer.publicKey)])
    const sequence = parseReleaseStatement(opened.payload).sequence
    const { channelStatement } = await releaseOf(zip, sequence, {
      channel: { appId, release: { sha256: opened.sha256, sequence } },
    })
    const device = makeDevice(api.url, { appId, platformKey: platformKeys.publicKey })
    const fetch = (url: string): Promise<Response> =>
      Promise.resolve(
        url.includes('/latest')
          ? Response.json({
              artifactType: 'zip',
              bundleId: 'bundle-1',
              url: `${api.url}/zip`,
              release,
              channelStatement,
            })
          : new Response(Uint8Array.from(zip)),
      )
    const updates = await createLiveUpdate({ ...device.options, world: { fetch } })
    expect((await updates.sync()).status).toBe('staged')
    expect(shown((await updates.launch()).directory)).toBe('cli')
    device.remove()
  }

  test('says which bundle an app is shipped with, to the app and to the server', async () => {
    const file = at('web', 'capstan-built-in.json')
    const shipped = args('--token-file', at('token'), '--built-in', file, '--version-code', '42')
    expect(await capstan(shipped)).toMatchObject({ code: 0 })
    const { bundleId, files } = JSON.parse(readFileSync(file, 'utf8')) as { bundleId: string; files: object[] }
    const sha256 = createHash('sha256').update('<p>cli</p>').digest('hex')
    expect(bundleId).toBe('bundle-1')
    expect(files).toEqual([
      expect.objectContaining({ path: 'assets/app.js' }),
      { path: 'index.html', sha256, size: 10 },
    ])
    expect(api.calls.slice(3)).toMatchObject([
      { line: 'PUT /v1/apps/app/embedded-bundles/android/42', body: { bundleId } },
      { line: 'PUT /v1/apps/app/embedded-bundles/ios/42', body: { bundleId } },
    ])
    api.calls.length = 0
    expect(await capstan(shipped)).toMatchObject({ code: 1, err: [expect.stringContaining('exists already')] })
    expect(api.calls).toEqual([])
  })

  test('create-app makes an app with a channel, and prints the id alone', async () => {
    const made = await capstan(['create-app', 'My app', '--channel', 'beta', '--server', api.url], {
      tokenFile: at('token'),
    })
    expect(made).toMatchObject({ code: 0, out: ['bundle-1'] })
    expect(api.calls).toMatchObject([
      { line: 'POST /v1/apps', body: { name: 'My app' } },
      { line: 'POST /v1/apps/bundle-1/channels', body: { name: 'beta' } },
    ])
  })

  test('sends a large zip in parts', async () => {
    const noise = randomBytes(11 * 1024 * 1024)
    writeFileSync(at('web', 'noise.bin'), noise)
    const published = await capstan(args('--token-file', at('token'), '--no-release'))
    expect(published.code).toBe(0)
    expect(api.calls.map((call) => call.line.split('?')[1] ?? call.line.split(' ')[0])).toEqual([
      'POST',
      'POST',
      'action=mpu-create',
      'action=mpu-uploadpart&uploadId=upload_1',
      'action=mpu-uploadpart&uploadId=upload_1',
      'action=mpu-complete&uploadId=upload_1',
      'PATCH',
    ])
    const declared = api.calls[1]!.body as Record<string, string>
    expect(declared['file']).toBeUndefined()
    const whole = Buffer.concat([api.parts.get(1)!, api.parts.get(2)!])
    expect(createHash('sha256').update(whole).digest('hex')).toBe(declared['checksum'])
    expect(api.calls[5]!.body).toEqual({
      parts: [
        { partNumber: 1, etag: 'e' },
        { partNumber: 2, etag: 'e' },
      ],
    })
    expect(api.calls[6]!.body).toEqual({ artifactStatus: 'ready', appBundleFileId: 'file-1' })
  })

  test('takes the token from the environment or standard input, never from the command line', async () => {
    expect((await capstan(args(), { tokenFile: at('token') })).code).toBe(0)
    expect(
      (await capstan(args('--token-file', '-'), { readInput: () => Promise.resolve('ca_0123456789\n') })).code,
    ).toBe(0)
    expect(new Set(api.calls.map((call) => call.token))).toEqual(new Set(['Bearer ca_0123456789']))
    expect(await capstan(args('--token', 'ca_0123456789'))).toMatchObject({ code: 2 })
    expect(await capstan(args())).toMatchObject({ code: 2, err: [expect.stringContaining('CAPSTAN_TOKEN_FILE')] })
    writeFileSync(at('token'), 'two words\n')
    const refused = await capstan(args('--token-file', at('token')))
    expect(refused).toMatchObject({ code: 1, err: [expect.stringContaining('(TOKEN)')] })
    expect(refused.err[0]).not.toContain('two words')
  })

  test("a refusal is the server's own sentence and code", async () => {
    api.refuse = { status: 404, body: { code: 'channel-not-found', message: 'There is no channel "production".' } }
    expect(await capstan(args('--token-file', at('token')))).toMatchObject({
      code: 1,
      out: [],
      err: ['capstan publish: There is no channel "production". (channel-not-found)'],
    })
  })

  test.each([
    ['a server that is not there', ['--server', 'http://127.0.0.1:1'], 1, '(NETWORK)'],
    ['plain http elsewhere', ['--server', 'http://example.com'], 2, 'https'],
    ['a server that is no address', ['--server', 'capstan'], 2, 'not a URL'],
    ['a rollout above one', ['--rollout', '50'], 2, '--rollout'],
    ['a list without a version code', ['--built-in', 'list.json'], 2, '--version-code go together'],
    ['a list without a release', ['--built-in', 'x', '--version-code', '1', '--no-release'], 2, '--no-release'],
    ['a version code that is a path', ['--built-in', 'x', '--version-code', '../1'], 2, '--version-code'],
    ['a channel that is empty', ['--channel', ''], 2, '--channel is missing'],
  ])('%s is refused before anything is sent', async (_what, more, code, words) => {
    expect(await capstan([...args('--token-file', at('token')), ...more])).toMatchObject({
      code,
      err: [expect.stringContaining(words)],
    })
    expect(api.calls).toEqual([])
  })

  test('register-key sends a public key, and refuses a private one before sending', async () => {
    const to = ['--app', 'app', '--server', api.url, '--token-file', at('token')]
    expect(await capstan(['register-key', at('key.pub.pem'), ...to])).toMatchObject({ code: 0 })
    expect(api.calls).toMatchObject([{ line: 'POST /v1/apps/app/public-keys', body: { pem: customer.publicKey } }])
    writeFileSync(at('secret.pem'), stranger.privateKey)
    expect(await capstan(['register-key', at('secret.pem'), ...to])).toMatchObject({
      code: 1,
      err: [expect.stringContaining('(KEY_PRIVATE)')],
    })
    expect(api.calls).toHaveLength(1)
  })

  test("platform-key fetches the server's key without a token, and overwrites nothing", async () => {
    const ask = (): ReturnType<typeof capstan> =>
      capstan(['platform-key', '--server', api.url, '--out', at('platform.pem')])
    const { keyId } = await importPlatformKey(platformKeys.publicKey)
    expect(await ask()).toMatchObject({ code: 0, out: [expect.any(String), `key id       ${keyId}`] })
    expect(readFileSync(at('platform.pem'), 'utf8')).toBe(platformKeys.publicKey)
    expect(api.calls).toMatchObject([{ line: 'GET /v1/platform-keys', token: '' }])
    expect((await ask()).err[0]).toContain('(FILE)')
  })

  test.each([
    ['no key', [], 'NO_PLATFORM_KEY'],
    ['a key that is not Ed25519', [{ pem: customer.publicKey }], 'KEY_ALGORITHM'],
    ['a private key', [{ pem: platformKeys.privateKey }], 'KEY_PRIVATE'],
  ])('platform-key refuses a server with %s', async (_what, keys, code) => {
    const before = api.platformKeys
    api.platformKeys = keys
    const outcome = await capstan(['platform-key', '--server', api.url, '--out', at('platform.pem')])
    api.platformKeys = before
    expect(outcome).toMatchObject({ code: 1, err: [expect.stringContaining(`(${code})`)] })
    expect(existsSync(at('platform.pem'))).toBe(false)
  })

  test('rotate-root publishes the root that it wrote', async () => {
    writeFileSync(at('platform.pem'), platformKeys.publicKey)
    const args = ['rotate-root', '--app', 'app', '--version', '2', '--key', at('key.pem'), '--out', at('root.json')]
    const to = ['--platform-keys', at('platform.pem'), '--server', api.url, '--token-file', at('token')]
    expect(await capstan([...args, ...to])).toMatchObject({ code: 0 })
    const root = JSON.parse(readFileSync(at('root.json'), 'utf8')) as object
    expect(api.calls).toMatchObject([{ line: 'POST /v1/apps/app/roots', body: { root } }])
  })
})
