import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { builds, withOrg } from '@capstan/migrations'
import type { Claim } from '@capstan/migrations/messages'
import { desc, eq } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  claim,
  createTestApp,
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
let sockets: BrokerSocketPaths
let broker: TestBroker
let app: TestApp
let worker: TestWorker
let cli: OfficialCli

beforeAll(async () => {
  sockets = await chooseSockets()
  fixture = await createFixture({ sealSocket: sockets.sealSocket })
  broker = await startTestBroker(fixture, sockets)
  app = await createTestApp(fixture)
  worker = await fixture.createWorker()
  cli = await startOfficialCli(fixture, app.token)
  await mkdir(join(cli.folder, 'project'))
  await writeFile(join(cli.folder, 'project', 'package.json'), '{ "name": "sample" }')
  await writeFile(join(cli.folder, 'secrets.env'), 'TOKEN=from-a-file\n')
})
afterAll(async () => {
  await cli[Symbol.asyncDispose]()
  await broker[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})

async function run(command: string, ...args: string[]): Promise<string> {
  const { code, output } = await cli.run(command, '--app-id', app.id, ...args)
  expect(code, output).toBe(0)
  return output
}

async function takeNext(): Promise<Claim> {
  return eventually(async () => {
    const [newest] = await withOrg(fixture.deps.db, app.org.id, (tx) =>
      tx.select({ id: builds.id }).from(builds).where(eq(builds.appId, app.id)).orderBy(desc(builds.number)).limit(1),
    )
    const answer = newest && (await claim(fixture, worker, newest.id))
    return answer?.status === 200 && answer.json<Claim>()
  })
}

describe('the official command line', () => {
  test('keeps environments, and gives one to a live update that is built, deployed and shared', async () => {
    await run('apps:environments:create', '--name', 'Production')
    const values = ['--variable', 'STAGE=live', '--secret', 'API_KEY=canary-value', '--secret-file', 'secrets.env']
    await run('apps:environments:set', '--name', 'Production', ...values)
    await run('apps:environments:set', '--name', 'Production', '--variable', 'OLD=1')
    await run('apps:environments:unset', '--name', 'Production', '--variable', 'OLD')
    expect(await run('apps:environments:list', '--json')).toContain('Production')
    const shown = await run('apps:environments:get', '--name', 'Production', '--json')
    expect(shown).toContain('API_KEY')
    expect(shown).not.toContain('canary-value')

    await run('apps:channels:create', '--name', 'production')
    const source = ['--path', 'project', '--environment', 'Production', '--channel', 'production', '--yes']
    const command = cli.run('apps:liveupdates:create', '--app-id', app.id, ...source)
    const taken = await takeNext()
    expect(taken.spec).toMatchObject({ platform: 'web', hasSecretVariables: true, variables: { STAGE: 'live' } })
    expect(taken.spec.variables).not.toHaveProperty('OLD')
    const asked = { token: taken.lease.token, body: { attempt: 1, purpose: 'variables' } }
    const opened = await askSocket(sockets.openSocket, '/open-secrets', asked)
    expect(JSON.parse(opened.text)).toEqual({ variables: { API_KEY: 'canary-value', TOKEN: 'from-a-file' } })
    await storeArtifact(fixture, taken, sourceZip('a live update'))
    await underLease(fixture, taken, 'finish', { status: 'succeeded' })
    const { code, output } = await command
    expect(code, output).toBe(0)

    const device =
      'appVersionCode=1&appVersionName=1.0&osVersion=14&platform=0&pluginVersion=8.4.3&channelName=production'
    const query = `${device}&appId=${app.id}&deviceId=3f1c0cb2-0000-4000-8000-000000000001`
    const update = await eventually(async () => {
      const answer = await fixture.request('GET', `/v1/apps/${app.id}/bundles/latest?${query}`)
      return answer.status === 200 && answer.json<{ checksum: string }>()
    })
    expect(update.checksum).toMatch(/^[0-9a-f]{64}$/)

    const buildId = taken.spec.buildId
    const shared = await run('apps:builds:share', '--build-id', buildId)
    const id = /app-build-shares\/([0-9a-f-]{36})/.exec(shared)?.[1]
    expect((await fixture.request('GET', `/app-build-shares/${id}`)).status).toBe(200)
    await run('apps:builds:unshare', '--build-id', buildId, '--yes')
    expect((await fixture.request('GET', `/app-build-shares/${id}`)).status).toBe(404)
    expect(await run('apps:builds:get', '--build-id', buildId, '--json')).toContain(buildId)
    await run('apps:environments:delete', '--name', 'Production', '--yes')
    expect(await run('apps:environments:list', '--json')).not.toContain('Production')
  })

  test('keeps native configurations and builds with one', async () => {
    const names = ['--display-name', 'App (beta)', '--package-name', 'com.example.beta']
    await run('apps:configurations:create', '--name', 'Beta', ...names)
    const listed = await run('apps:configurations:list', '--json')
    const id = /"id": *"([0-9a-f-]{36})"/.exec(listed)?.[1] ?? ''
    await run('apps:configurations:update', '--configuration-id', id, '--display-name', 'App (beta 2)')
    expect(await run('apps:configurations:get', '--configuration-id', id, '--json')).toContain('App (beta 2)')
    const args = ['--platform', 'android', '--type', 'debug', '--path', 'project', '--configuration', 'Beta', '--yes']
    await run('apps:builds:create', ...args, '--detached')
    const taken = await takeNext()
    expect(taken.spec.overrides).toEqual({ displayName: 'App (beta 2)', packageName: 'com.example.beta' })
    await run('apps:configurations:delete', '--configuration-id', id, '--yes')
    expect(await run('apps:configurations:list', '--json')).not.toContain('Beta')
  })
})
