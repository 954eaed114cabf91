import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { builds, withOrg } from '@capstan/migrations'
import type { Claim } from '@capstan/migrations/messages'
import { desc, eq } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { claim, line, storeArtifact, type TestWorker, underLease } from './build-fixture.js'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import { android, type Body, createLiveUpdateApp, type LiveUpdateApp, sha256, zipOf } from './live-update-app.js'
import { type OfficialCli, startOfficialCli } from './official-cli.js'
import { eventually } from './own-redis.js'

let fixture: Fixture
let org: TestOrganization
let worker: TestWorker
let cli: OfficialCli
let app: LiveUpdateApp

beforeAll(async () => {
  fixture = await createFixture()
  org = await fixture.createOrganization()
  worker = await fixture.createWorker()
  cli = await startOfficialCli(fixture, org.tokens.member)
})
beforeEach(async () => {
  app = await createLiveUpdateApp(fixture, org)
  await app.must('POST', '/channels', { name: 'production' })
})
afterAll(async () => {
  await cli[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})

async function writeFiles(folder: string, files: Record<string, string>): Promise<string> {
  for (const [path, content] of Object.entries(files)) {
    const file = join(cli.folder, folder, path)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, content)
  }
  return folder
}

async function run(...args: string[]): Promise<string> {
  const { code, output } = await cli.run(...args)
  expect(code, output).toBe(0)
  return output
}
const inApp = (command: string, ...args: string[]) => run(`apps:${command}`, '--app-id', app.appId, ...args)
/** The list that a command printed, among what it says besides. */
const listIn = (output: string) => JSON.parse(/^\[$[\s\S]*?^\]$/m.exec(output)?.[0] ?? 'null') as Body[]
const latest = async () => (await app.latest(android('production'))).json<Body>()
const download = (url: string, query = '') => fixture.request('GET', new URL(url).pathname + query)

test('uploads a manifest of 1,000 files, each of which can be fetched', async () => {
  const files = Object.fromEntries(
    Array.from({ length: 999 }, (_, index) => [`assets/chunk-${index}.js`, `export default ${index}`]),
  )
  const path = await writeFiles('thousand', { 'index.html': '<p>a thousand</p>', ...files })
  await inApp('liveupdates:upload', '--channel', 'production', '--path', path, '--artifact-type', 'manifest')
  const { url, artifactType } = await latest()
  expect(artifactType).toBe('manifest')
  const manifest = await download(url, '?href=capawesome-live-update-manifest.json')
  const items = await manifest.json<{ href: string; checksum: string }[]>()
  expect(items).toHaveLength(1_000)
  const some = items.filter((_, index) => index % 100 === 0)
  for (const { href, checksum } of some) {
    const bytes = new Uint8Array(await (await download(url, `?href=${encodeURIComponent(href)}`)).arrayBuffer())
    expect(sha256(bytes)).toBe(checksum)
  }
})

test('packs a bundle, makes keys and a manifest, and publishes what it made, signed', async () => {
  const path = await writeFiles('packed', { 'index.html': '<p>packed</p>', 'a.js': '1' })
  await run('apps:liveupdates:generatesigningkey', '--public-key-path', 'own.pub', '--private-key-path', 'own.pem')
  await app.must('POST', '/public-keys', {
    pem: await readFile(join(cli.folder, 'own.pub'), 'utf8'),
    profile: 'compat',
  })
  await run('apps:liveupdates:generatemanifest', '--path', path)
  await run('apps:liveupdates:bundle', '--input-path', path, '--output-path', 'packed.zip')
  await inApp('liveupdates:upload', '--channel', 'production', '--path', 'packed.zip', '--private-key', 'own.pem')
  const { url, checksum, signature } = await latest()
  const bytes = new Uint8Array(await (await download(url)).arrayBuffer())
  expect(checksum).toBe(sha256(bytes))
  expect(bytes).toEqual(new Uint8Array(await readFile(join(cli.folder, 'packed.zip'))))
  expect(signature).toMatch(/^[A-Za-z0-9+/]{342}==$/)
})

test('builds on the platform and deploys to several channels', async () => {
  await app.must('POST', '/channels', { name: 'beta' })
  const project = await writeFiles('project', { 'package.json': '{ "name": "sample" }' })
  const channels = ['--channel', 'production', '--channel', 'beta', '--rollout-percentage', '100']
  const source = ['--app-id', app.appId, '--path', project, '--yes', '--custom-property', 'ticket=A-1']
  const command = cli.run('apps:liveupdates:create', ...source, ...channels)
  const taken = await takeNewest()
  await underLease(fixture, taken, 'logs', { batch: 1, lines: [line('vite built in 1 s', 'build-web')] })
  await storeArtifact(fixture, taken, zipOf({ 'index.html': 'made by the build' }))
  await underLease(fixture, taken, 'finish', { status: 'succeeded' })
  const { code, output } = await command
  expect(code, output).toBe(0)
  expect(output).toContain('vite built in 1 s')
  for (const name of ['production', 'beta']) {
    const answer = await (await app.latest(android(name))).json<Body>()
    expect(answer).toMatchObject({ artifactType: 'zip', customProperties: { ticket: 'A-1' } })
  }
})

async function takeNewest(): Promise<Claim> {
  const buildId = await eventually(async () => {
    const [row] = await withOrg(fixture.deps.db, org.id, (tx) =>
      tx
        .select({ id: builds.id })
        .from(builds)
        .where(eq(builds.appId, app.appId))
        .orderBy(desc(builds.number))
        .limit(1),
    )
    return row?.id ?? false
  })
  return (await claim(fixture, worker, buildId)).json<Claim>()
}

test('deploys a build by its number and by its id, and lists what was deployed', async () => {
  const { bundle } = await app.publishZip(zipOf({ 'index.html': 'one' }))
  await app.publishZip(zipOf({ 'index.html': 'two' }))
  await inApp('deployments:create', '--build-number', '2', '--channel', 'production')
  await inApp('deployments:create', '--build-id', bundle.appBuildId, '--channel', 'production')
  expect((await latest()).bundleId).toBe(bundle.id)
  const [newest, before] = await app.must<[Body, Body]>('GET', '/deployments')
  expect(newest).toMatchObject({ appBuildId: bundle.appBuildId, rolloutPercentage: 1 })
  const listed = listIn(await inApp('deployments:list', '--json'))
  expect(listed.map(({ id }) => id)).toEqual([newest.id, before.id])
  const [channel] = await app.must<[Body]>('GET', '/channels?name=production')
  const ofChannel = ['--channel-id', channel.id, '--build-id', bundle.appBuildId, '--json']
  expect(listIn(await inApp('deployments:list', ...ofChannel))).toMatchObject([{ id: newest.id }])
  expect(await inApp('deployments:get', '--deployment-id', before.id, '--json')).toContain(before.id)
  const unknown = await cli.run(
    'apps:deployments:create',
    '--app-id',
    app.appId,
    '--build-number',
    '9',
    '--channel',
    'x',
  )
  expect(unknown).toMatchObject({ code: 1, output: expect.stringContaining('not found') as string })
})

test('says that a deployment to a channel has nothing to cancel', async () => {
  await app.publishZip(zipOf({ 'index.html': 'one' }), { bundle: { channelName: 'production' } })
  const [deployment] = await app.must<[Body]>('GET', '/deployments')
  const ids = ['--app-id', app.appId, '--deployment-id', deployment.id]
  for (const command of ['cancel', 'failure-summary']) {
    const { code, output } = await cli.run(`apps:deployments:${command}`, ...ids)
    expect(code, output).toBe(1)
    expect(output).not.toMatch(/went wrong|TypeError/)
  }
  expect((await latest()).bundleId).toBeDefined()
})

test('renames and protects a channel', async () => {
  const [channel] = await app.must<[Body]>('GET', '/channels?name=production')
  await inApp('channels:update', '--channel-id', channel.id, '--name', 'live', '--protected')
  expect(await app.must('GET', `/channels/${channel.id}`)).toMatchObject({
    name: 'live',
    protectedAt: expect.any(String) as string,
  })
})
