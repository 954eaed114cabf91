import { randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import {
  android,
  type Body,
  createKeyPair,
  createLiveUpdateApp,
  type LiveUpdateApp,
  sha256,
} from './live-update-app.js'
import { type OfficialCli, startOfficialCli } from './official-cli.js'

let fixture: Fixture
let org: TestOrganization
let cli: OfficialCli
let app: LiveUpdateApp
const key = createKeyPair()

beforeAll(async () => {
  fixture = await createFixture()
  org = await fixture.createOrganization()
  cli = await startOfficialCli(fixture, org.tokens.member)
  await writeFile(join(cli.folder, 'key.pem'), key.privatePem)
})
beforeEach(async () => {
  app = await createLiveUpdateApp(fixture, org)
  await app.must('POST', '/channels', { name: 'production' })
})
afterAll(async () => {
  await cli[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})

async function writeApp(name: string, files: Record<string, string | Uint8Array>): Promise<string> {
  for (const [path, content] of Object.entries(files)) {
    const file = join(cli.folder, name, path)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, content)
  }
  return name
}

async function run(...args: string[]): Promise<string> {
  const { code, output } = await cli.run(...args)
  expect(code, output).toBe(0)
  return output
}

const upload = (path: string, ...more: string[]) =>
  run('apps:liveupdates:upload', '--app-id', app.appId, '--channel', 'production', '--path', path, ...more)
const latest = async () => (await app.latest(android('production'))).json<Body>()
const download = (url: string, query = '') => fixture.request('GET', new URL(url).pathname + query)
const page = (text: string) => ({ 'index.html': text, 'assets/a b+c.js': 'x', 'deep/er/style.css': 'y' })

test('uploads a folder as a zip, signed, to a channel that is protected', async () => {
  await app.must('POST', '/public-keys', { pem: key.publicPem })
  await app.must('POST', '/channels', { name: 'guarded', protected: true })
  const path = await writeApp('signed', page('signed'))
  const args = ['apps:liveupdates:upload', '--app-id', app.appId, '--channel', 'guarded', '--path', path]
  const refused = await cli.run(...args)
  expect(refused.code).not.toBe(0)
  expect(refused.output).toContain('protected')
  await run(...args, '--private-key', 'key.pem', '--custom-property', 'ticket=A-1')
  const answer = await (await app.latest(android('guarded'))).json<Body>()
  expect(answer).toMatchObject({ artifactType: 'zip', customProperties: { ticket: 'A-1' } })
  const bytes = new Uint8Array(await (await download(answer.url)).arrayBuffer())
  expect(answer.checksum).toBe(sha256(bytes))
  expect(answer.signature).toBe(key.sign(bytes))
})

test('uploads a manifest, every file of which can be fetched', async () => {
  await upload(await writeApp('manifest', page('m')), '--artifact-type', 'manifest', '--private-key', 'key.pem')
  const { url, artifactType } = await latest()
  expect(artifactType).toBe('manifest')
  const manifest = await download(url, '?href=capawesome-live-update-manifest.json')
  const items = await manifest.json<{ href: string; checksum: string }[]>()
  expect(items.map((item) => item.href).sort()).toEqual(Object.keys(page('m')).sort())
  for (const { href, checksum } of items) {
    const file = await download(url, `?href=${encodeURIComponent(href)}`)
    const bytes = new Uint8Array(await file.arrayBuffer())
    expect(sha256(bytes)).toBe(checksum)
    expect(file.headers.get('x-signature')).toBe(key.sign(bytes))
  }
})

test('uploads more than 10 MiB in parts', async () => {
  await app.must('POST', '/public-keys', { pem: key.publicPem })
  const path = await writeApp('big', { ...page('big'), 'big.bin': randomBytes(21 * 1024 * 1024) })
  await upload(path, '--private-key', 'key.pem')
  const { url, checksum } = await latest()
  const bytes = new Uint8Array(await (await download(url)).arrayBuffer())
  expect(bytes.byteLength).toBeGreaterThan(21 * 1024 * 1024)
  expect(sha256(bytes)).toBe(checksum)
})

test('says why a bundle signed by another key is refused', async () => {
  await app.must('POST', '/public-keys', { pem: createKeyPair().publicPem })
  const path = await writeApp('stranger', page('stranger'))
  const args = ['apps:liveupdates:upload', '--app-id', app.appId, '--path', path, '--private-key', 'key.pem']
  const { code, output } = await cli.run(...args)
  expect(code).toBe(1)
  expect(output).toContain('was not made by a public key of this app')
})

test('registers a bundle that is kept elsewhere', async () => {
  const url = 'https://cdn.example.test/bundle.zip'
  const zip = join(cli.folder, 'own.zip')
  await writeFile(zip, 'anything')
  await run('apps:liveupdates:register', '--app-id', app.appId, '--channel', 'production', '--url', url, '--path', zip)
  expect(await latest()).toMatchObject({ url, checksum: sha256('anything') })
})

test('rolls out to a share of devices, and back to the build before', async () => {
  await upload(await writeApp('one', page('one')))
  const { bundleId: one } = await latest()
  await upload(await writeApp('two', page('two')), '--rollout-percentage', '0')
  expect((await latest()).bundleId).toBe(one)
  await run('apps:liveupdates:rollout', '--app-id', app.appId, '--channel', 'production', '--percentage', '100')
  expect((await latest()).bundleId).not.toBe(one)
  const output = await run(
    'apps:liveupdates:rollback',
    '--app-id',
    app.appId,
    '--channel',
    'production',
    '--steps',
    '1',
  )
  expect(output).toContain('Rolled back to Build #1')
  expect((await latest()).bundleId).toBe(one)
})

test('sets the native versions that a build fits', async () => {
  await upload(await writeApp('native', page('native')), '--android-min', '5')
  const { bundleId } = await latest()
  expect(bundleId).toBeDefined()
  const [deployment] = await app.must<[Body]>('GET', '/deployments')
  const build = ['--app-id', app.appId, '--build-id', deployment.appBuildId]
  await run('apps:liveupdates:setnativeversions', ...build, '--android-min', '11')
  expect((await latest()).code).toBe('no-update')
  await run('apps:liveupdates:setnativeversions', ...build, '--android-min', '10')
  expect((await latest()).bundleId).toBe(bundleId)
})

test('creates, lists, pauses, resumes and deletes channels', async () => {
  const inApp = (command: string, ...args: string[]) => run(`apps:channels:${command}`, '--app-id', app.appId, ...args)
  await inApp('create', '--name', 'beta')
  expect(await inApp('list', '--json')).toContain('"beta"')
  await inApp('pause', '--channel', 'beta')
  expect(await app.must<Body[]>('GET', '/channels?name=beta')).toMatchObject([{ pausedAt: expect.any(String) }])
  await inApp('resume', '--channel', 'beta')
  expect(await inApp('get', '--name', 'beta')).toContain('beta')
  await inApp('delete', '--name', 'beta', '--yes')
  expect(await app.must('GET', '/channels?name=beta')).toEqual([])
})

test('renames and protects a channel, and deletes it by its id', async () => {
  const inApp = (command: string, ...args: string[]) => run(`apps:channels:${command}`, '--app-id', app.appId, ...args)
  await inApp('create', '--name', 'early')
  const [{ id } = { id: '' }] = await (await app.call('GET', '/channels?name=early')).json<{ id: string }[]>()
  await inApp('update', '--channel-id', id, '--name', 'earlier', '--protected')
  expect(await app.must('GET', `/channels/${id}`)).toMatchObject({ name: 'earlier', protectedAt: expect.any(String) })
  expect(await inApp('get', '--channel-id', id)).toContain('earlier')
  // A channel that is there already is no reason for a pipeline to stop, where it says so.
  await inApp('create', '--name', 'earlier', '--ignore-errors')
  await inApp('delete', '--channel-id', id, '--yes')
  expect((await app.call('GET', `/channels/${id}`)).status).toBe(404)
})

test('serves each native version from the channel that is named after it', async () => {
  const versions = ['production-42', 'production-43']
  for (const name of versions) {
    await run('apps:channels:create', '--app-id', app.appId, '--name', name)
    const path = await writeApp(name, page(name))
    await run('apps:liveupdates:upload', '--app-id', app.appId, '--channel', name, '--path', path)
  }
  const served = await Promise.all(versions.map(async (name) => (await app.latest(android(name))).json<Body>()))
  expect(served.map(({ channelName }) => channelName)).toEqual(versions)
  expect(served[0]?.bundleId).not.toBe(served[1]?.bundleId)
  expect((await app.latest(android('production-44'))).status).toBe(404)
})

test('probes a device, forces its channel and deletes it', async () => {
  const inApp = (command: string, ...args: string[]) =>
    run(`apps:devices:${command}`, '--app-id', app.appId, '--device-id', 'phone-1', ...args)
  await app.latest(android('production', 'phone-1'))
  expect(await inApp('probe')).toContain('No update available')
  await upload(await writeApp('probe', page('probe')))
  expect(await inApp('probe', '--json')).toContain((await latest()).bundleId)
  await app.must('POST', '/channels', { name: 'empty' })
  await inApp('forcechannel', '--channel', 'empty')
  expect(await inApp('probe')).toContain('No update available')
  await inApp('unforcechannel')
  expect(await inApp('probe')).toContain('Update available')
  await inApp('delete', '--yes')
  expect((await app.call('GET', '/devices/phone-1')).status).toBe(404)
})

test('reads deployments and follows the log of one to its end', async () => {
  await upload(await writeApp('log', page('log')))
  const [deployment] = await app.must<[Body]>('GET', '/deployments')
  const args = ['--app-id', app.appId, '--deployment-id', deployment.id]
  expect(await run('apps:deployments:get', ...args)).toContain(deployment.id)
  await run('apps:deployments:logs', ...args)
})
