import { randomBytes } from 'node:crypto'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Claim } from '@capstan/migrations/messages'
import { withOrg, builds } from '@capstan/migrations'
import { desc, eq } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  claim,
  createTestApp,
  line,
  PART_BYTES,
  sourceZip,
  storeArtifact,
  type TestApp,
  type TestWorker,
  underLease,
} from './build-fixture.js'
import { createFixture, type Fixture } from './fixture.js'
import { type OfficialCli, startOfficialCli } from './official-cli.js'
import { eventually } from './own-redis.js'
import { askSocket, type BrokerSocketPaths, chooseSockets, startTestBroker, type TestBroker } from './test-broker.js'

let fixture: Fixture
let app: TestApp
let worker: TestWorker
let cli: OfficialCli
let sockets: BrokerSocketPaths
let broker: TestBroker

beforeAll(async () => {
  sockets = await chooseSockets()
  fixture = await createFixture({ sealSocket: sockets.sealSocket })
  broker = await startTestBroker(fixture, sockets)
  app = await createTestApp(fixture)
  worker = await fixture.createWorker()
  cli = await startOfficialCli(fixture, app.token)
  const project = join(cli.folder, 'project')
  await mkdir(join(project, 'android'), { recursive: true })
  await writeFile(join(project, 'package.json'), '{ "name": "sample" }')
  await writeFile(join(project, 'android', 'gradlew'), '#!/bin/sh\n')
  await chmod(join(project, 'android', 'gradlew'), 0o755)
  // More than one part, and not compressible.
  await writeFile(join(project, 'large.bin'), randomBytes(PART_BYTES + 100_000))
})
afterAll(async () => {
  await cli[Symbol.asyncDispose]()
  await broker[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})

async function newestBuild(): Promise<string | undefined> {
  const [row] = await withOrg(fixture.deps.db, app.org.id, (tx) =>
    tx.select({ id: builds.id }).from(builds).where(eq(builds.appId, app.id)).orderBy(desc(builds.number)).limit(1),
  )
  return row?.id
}

/** Waits for a build that was not there before, and claims it as a worker does. */
async function takeNext(before: string | undefined): Promise<Claim> {
  const buildId = await eventually(async () => {
    const newest = await newestBuild()
    return newest !== before && newest
  })
  return (await claim(fixture, worker, buildId)).json<Claim>()
}

/** Where the tool looks for the SDK of Android: one emulator that runs, and an `adb` that keeps what it is told. */
async function placeAndroidTools(): Promise<void> {
  const sdk = join(cli.folder, 'home', 'Android', 'Sdk')
  const tools = {
    'emulator/emulator': 'echo Pixel_9',
    'platform-tools/adb': `echo "$*" >>'${cli.folder}/adb.log'
case "$*" in
  devices) printf 'List of devices attached\\nemulator-5554\\tdevice\\n' ;;
  *' avd name') echo Pixel_9 ;;
  *' install '*) cp "$5" '${cli.folder}/installed.apk' ;;
esac`,
  }
  for (const [name, script] of Object.entries(tools)) {
    const file = join(sdk, name)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  }
}

const create = (...args: string[]) =>
  cli.run('apps:builds:create', '--app-id', app.id, '--path', 'project', '--yes', ...args)

describe('the official command line', () => {
  test('uploads a project in parts, follows its build and downloads what it made', async () => {
    const before = await newestBuild()
    const command = create('--platform', 'web', '--variable', 'GREETING=hello there', '--zip', 'out.zip')
    const taken = await takeNext(before)
    expect(taken.spec.variables).toMatchObject({ CI_PLATFORM: 'web' })
    const body = { attempt: 1, purpose: 'variables' }
    const secrets = await askSocket(sockets.openSocket, '/open-secrets', { token: taken.lease.token, body })
    expect(secrets).toEqual({ status: 200, text: '{"variables":{"GREETING":"hello there"}}' })
    await underLease(fixture, taken, 'logs', { batch: 1, lines: [line('vite built in 1 s', 'build-web')] })
    const output = sourceZip('made by the build')
    await storeArtifact(fixture, taken, output)
    await underLease(fixture, taken, 'finish', { status: 'succeeded' })
    const { code, output: said } = await command
    expect(said).toContain('vite built in 1 s')
    expect(said).toContain('Build completed successfully')
    expect(code).toBe(0)
    expect(new Uint8Array(await readFile(join(cli.folder, 'out.zip')))).toEqual(output)

    const buildId = taken.spec.buildId
    const logs = await cli.run('apps:builds:logs', '--app-id', app.id, '--build-id', buildId)
    expect(logs).toMatchObject({ code: 0, output: expect.stringContaining('vite built in 1 s') })
    const listed = await cli.run('apps:builds:list', '--app-id', app.id, '--json')
    expect(listed).toMatchObject({ code: 0, output: expect.stringContaining(buildId) })
    const download = ['--app-id', app.id, '--build-id', buildId, '--zip', 'again.zip']
    expect(await cli.run('apps:builds:download', ...download)).toMatchObject({ code: 0 })
    expect(new Uint8Array(await readFile(join(cli.folder, 'again.zip')))).toEqual(output)
  })

  test('runs a build on an emulator', async () => {
    const before = await newestBuild()
    const command = create('--platform', 'android', '--type', 'debug', '--json')
    const taken = await takeNext(before)
    const apk = sourceZip('the app')
    const type = { type: 'apk', fileName: 'app.apk', mimeType: 'application/vnd.android.package-archive' }
    await storeArtifact(fixture, taken, apk, { ...type, packageName: 'com.example.pier' })
    await underLease(fixture, taken, 'finish', { status: 'succeeded' })
    expect((await command).code).toBe(0)
    await placeAndroidTools()
    const ids = ['--app-id', app.id, '--build-id', taken.spec.buildId]
    expect(await cli.run('apps:builds:run', ...ids, '--target', 'Pixel_9')).toMatchObject({
      code: 0,
      output: expect.stringContaining('App launched.'),
    })
    expect(new Uint8Array(await readFile(join(cli.folder, 'installed.apk')))).toEqual(apk)
    const launched = '-s emulator-5554 shell monkey -p com.example.pier -c android.intent.category.LAUNCHER 1'
    expect(await readFile(join(cli.folder, 'adb.log'), 'utf8')).toContain(launched)
    const byNumber = ['--app-id', app.id, '--build-number', '999999', '--target', 'Pixel_9']
    expect(await cli.run('apps:builds:run', ...byNumber)).toMatchObject({ code: 1 })
  })

  test('shows why a build failed, and ends with 1', async () => {
    const before = await newestBuild()
    const command = create('--platform', 'android', '--type', 'debug')
    const taken = await takeNext(before)
    const failure = { status: 'failed', code: 'gradle-failed', message: 'Gradle failed: android/build.gradle line 3.' }
    await underLease(fixture, taken, 'finish', failure)
    expect(await command).toMatchObject({ code: 1, output: expect.stringContaining(failure.message) })
    const ids = ['--app-id', app.id, '--build-id', taken.spec.buildId]
    const summary = await cli.run('apps:builds:failure-summary', ...ids)
    expect(summary).toMatchObject({ code: 0, output: expect.stringContaining('gradle-failed') })
  })

  test('cancels a build that waits', async () => {
    const created = await create('--platform', 'web', '--detached')
    expect(created.code).toBe(0)
    const buildId = (await newestBuild()) ?? ''
    const canceled = await cli.run('apps:builds:cancel', '--app-id', app.id, '--build-id', buildId)
    expect(canceled.code, canceled.output).toBe(0)
    expect((await claim(fixture, worker, buildId)).status).toBe(409)
    const logs = await cli.run('apps:builds:logs', '--app-id', app.id, '--build-id', buildId)
    expect(logs.code).toBe(0)
  })

  test.each([
    [
      'an unknown certificate',
      ['--certificate', 'Nope'],
      'Certificate with name "Nope" not found for platform "android".',
    ],
    ['no certificate for a release', [], 'needs a certificate'],
    ['an unknown environment', ['--environment', 'Prod'], 'Environment with name "Prod" not found.'],
  ])('prints the sentence for %s', async (_name, args, sentence) => {
    const refused = await create('--platform', 'android', '--type', 'release', ...args)
    expect(refused).toMatchObject({ code: 1, output: expect.stringContaining(sentence) })
  })

  test('prints the sentence for ios, for git and for a damaged archive', async () => {
    expect((await create('--platform', 'ios', '--type', 'simulator')).output).toContain('macOS')
    const fromGit = ['--app-id', app.id, '--platform', 'web', '--git-ref', 'main', '--yes']
    expect((await cli.run('apps:builds:create', ...fromGit)).output).toContain('Upload the project with --path')
    await writeFile(join(cli.folder, 'cut.zip'), sourceZip().slice(0, -8))
    const damaged = ['--app-id', app.id, '--platform', 'web', '--path', 'cut.zip', '--yes']
    expect(await cli.run('apps:builds:create', ...damaged)).toMatchObject({
      code: 1,
      output: expect.stringContaining('the zip archive is cut off'),
    })
  })
})
