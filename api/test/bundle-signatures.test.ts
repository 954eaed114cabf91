import { generateKeyPairSync } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import {
  android,
  createKeyPair,
  createLiveUpdateApp,
  type LiveUpdateApp,
  refusal,
  sha256,
  zipOf,
  type Body,
} from './live-update-app.js'

let fixture: Fixture
let org: TestOrganization
const zip = zipOf({ 'index.html': '<h1>signed</h1>' })
const key = createKeyPair()
const stranger = createKeyPair()

beforeAll(async () => {
  fixture = await createFixture()
  org = await fixture.createOrganization()
})
afterAll(() => fixture[Symbol.asyncDispose]())

async function createAppWithKey(name: string): Promise<LiveUpdateApp> {
  const app = await createLiveUpdateApp(fixture, org, name)
  await app.must('POST', '/public-keys', { pem: key.publicPem })
  await app.must('POST', '/channels', { name: 'open' })
  await app.must('POST', '/channels', { name: 'guarded', protected: true })
  return app
}

describe('public keys', () => {
  test('are added once, listed, and revoked for good', async () => {
    const app = await createLiveUpdateApp(fixture, org, 'Keys')
    const added = await app.must('POST', '/public-keys', { pem: key.publicPem })
    expect(added).toMatchObject({ pem: key.publicPem, revokedAt: null })
    expect(added.fingerprintSha256).toMatch(/^[0-9a-f]{64}$/)
    const again = await app.must('POST', '/public-keys', { pem: key.publicPem.replaceAll('\n', '\r\n') })
    expect(again.id).toBe(added.id)
    await app.must('DELETE', `/public-keys/${added.id}`)
    expect(await app.must('GET', '/public-keys')).toMatchObject([{ id: added.id, revokedAt: expect.any(String) }])
    await refusal(await app.call('POST', '/public-keys', { pem: key.publicPem }), 409, 'public-key-revoked')
    expect((await app.call('POST', '/public-keys', { pem: stranger.publicPem })).status).toBe(201)
    await refusal(await app.call('DELETE', `/public-keys/${app.appId}`), 404, 'not-found')
  })

  const ec = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
  const e3 = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicExponent: 3,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
  const pkcs1 = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'pkcs1', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  })
  test.each([
    ['a private key', key.privatePem, /private key. Keep it where you sign/],
    ['a private PKCS#1 key', pkcs1.privateKey, /private key/],
    ['a PKCS#1 public key', pkcs1.publicKey, /KEY_NOT_SPKI/],
    ['an EC key', ec.publicKey, /KEY_ALGORITHM/],
    ['a 1024-bit key', createKeyPair(1024).publicPem, /KEY_SIZE/],
    ['the exponent 3', e3.publicKey, /KEY_EXPONENT/],
    ['two keys', key.publicPem + stranger.publicPem, /KEY_SEVERAL/],
    ['no key', 'hello', /KEY_NOT_PEM/],
  ])('refuse %s', async (_name, pem, reason) => {
    const app = await createLiveUpdateApp(fixture, org, 'Refused')
    expect(await refusal(await app.call('POST', '/public-keys', { pem }), 422, 'public-key-invalid')).toMatch(reason)
    expect(await app.must('GET', '/public-keys')).toEqual([])
  })

  test('are added by administrators alone', async () => {
    const app = await createLiveUpdateApp(fixture, org, 'Roles')
    const body = { pem: key.publicPem }
    await refusal(await app.call('POST', '/public-keys', body, org.tokens.member), 403, 'permission-missing')
    expect((await app.call('POST', '/public-keys', body, org.tokens.admin)).status).toBe(201)
    expect((await app.call('GET', '/public-keys', undefined, org.tokens.member)).status).toBe(200)
  })
})

describe('a signature', () => {
  test('by the registered key is accepted and handed to devices', async () => {
    const app = await createAppWithKey('Signed')
    const signature = key.sign(zip)
    const { bundle, response } = await app.publishZip(zip, { bundle: { channelName: 'guarded' }, signature })
    expect(response.status, await response.clone().text()).toBe(200)
    expect(await (await app.latest(android('guarded'))).json<Body>()).toMatchObject({ bundleId: bundle.id, signature })
    const download = await fixture.request('GET', `${app.path}/bundles/${bundle.id}/download`)
    expect(download.headers.get('x-signature')).toBe(signature)
  })

  test.each([
    ['by another key', stranger.sign(zip)],
    ['over other bytes', key.sign('other')],
    ['that is empty', ''],
    ['that says null', 'null'],
    ['with white space', ` ${key.sign(zip)}`],
    ['in two lines', `${key.sign(zip).slice(0, 64)}\n${key.sign(zip).slice(64)}`],
    ['that is cut', key.sign(zip).slice(0, 200)],
    ['in the URL alphabet', key.sign(zip).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')],
  ])('%s is refused at the door', async (_name, signature) => {
    const app = await createAppWithKey('Door')
    const { response } = await app.publishZip(zip, { signature })
    await refusal(response, 422, 'bundle-signature-invalid')
  })

  test('over a file that came in parts is checked when it is whole', async () => {
    const app = await createAppWithKey('Parts')
    for (const [signature, status] of [
      [stranger.sign(zip), 422],
      [key.sign(zip), 200],
    ] as const) {
      const bundle = await app.must('POST', '/bundles', {})
      const file = await (
        await app.sendFile(bundle.id, { checksum: sha256(zip), sizeInBytes: zip.byteLength, signature })
      ).json<Body>()
      const base = `/bundles/${bundle.id}/files/${file.id}/upload`
      const { uploadId } = await app.must('POST', `${base}?action=mpu-create`, {})
      const form = new FormData()
      form.append('blob', new Blob([zip]), 'bundle.zip')
      form.append('partNumber', '1')
      const path = `${app.path}${base}?action=mpu-uploadpart&uploadId=${uploadId}`
      const part = await (await fixture.request('PUT', path, { token: app.token, body: form })).json<Body>()
      const done = await app.call('POST', `${base}?action=mpu-complete&uploadId=${uploadId}`, { parts: [part] })
      expect(done.status).toBe(status)
      if (status === 422) await refusal(done, 422, 'bundle-signature-invalid')
    }
  })

  test('of an app without keys is kept for its devices to judge', async () => {
    const app = await createLiveUpdateApp(fixture, org, 'No keys')
    const { response } = await app.publishZip(zip, { signature: stranger.sign(zip) })
    expect(await response.json<Body>()).toMatchObject({ signature: stranger.sign(zip) })
  })

  test('is on all files of a manifest bundle or on none', async () => {
    const app = await createAppWithKey('Half')
    const text = '<h1>x</h1>'
    const manifest = JSON.stringify([{ checksum: sha256(text), href: 'index.html', sizeInBytes: text.length }])
    const name = 'capawesome-live-update-manifest.json'
    for (const signed of [false, true]) {
      const bundle = await app.must('POST', '/bundles', {
        artifactType: 'manifest',
        channelName: signed ? 'guarded' : 'open',
      })
      const bytes = (value: string) => new TextEncoder().encode(value)
      await app.sendFile(bundle.id, {
        content: bytes(text),
        href: 'index.html',
        name: 'index.html',
        signature: key.sign(text),
      })
      const extra = signed ? { signature: key.sign(manifest) } : {}
      await app.sendFile(bundle.id, { content: bytes(manifest), href: name, name, ...extra })
      const ready = await app.call('PATCH', `/bundles/${bundle.id}`, { artifactStatus: 'ready' })
      if (signed) expect(ready.status, await ready.text()).toBe(200)
      else expect(await refusal(ready, 422, 'bundle-signature-missing')).toContain(name)
    }
  })
})

describe('a protected channel', () => {
  test('refuses an unsigned bundle, which another channel takes', async () => {
    const app = await createAppWithKey('Protected')
    const guarded = await app.publishZip(zip, { bundle: { channelName: 'guarded' } })
    expect(await refusal(guarded.response, 422, 'channel-protected')).toContain('guarded')
    await refusal(await app.latest(android('guarded')), 404, 'no-update')
    const open = await app.publishZip(zip, { bundle: { channelName: 'open' } })
    expect(open.response.status).toBe(200)
    const body = { appBuildId: open.bundle.appBuildId, appChannelName: 'guarded' }
    await refusal(await app.call('POST', '/deployments', body), 422, 'channel-protected')
  })

  test('refuses a bundle whose key was revoked since, and takes one of the new key', async () => {
    const app = await createAppWithKey('Revoked')
    const { bundle, response } = await app.publishZip(zip, { signature: key.sign(zip) })
    expect(response.status).toBe(200)
    const deploy = (appBuildId: string) => app.call('POST', '/deployments', { appBuildId, appChannelName: 'guarded' })
    expect((await deploy(bundle.appBuildId)).status).toBe(201)
    const [registered] = await app.must<[Body]>('GET', '/public-keys')
    await app.must('POST', '/public-keys', { pem: stranger.publicPem })
    await app.must('DELETE', `/public-keys/${registered.id}`)
    await refusal(await deploy(bundle.appBuildId), 422, 'channel-protected')
    const renewed = await app.publishZip(zip, { bundle: { channelName: 'guarded' }, signature: stranger.sign(zip) })
    expect(renewed.response.status).toBe(200)
  })
})
