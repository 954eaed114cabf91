import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { addCertificate, claimed, queueBuild, sourceZip, storeArtifact } from '../build-fixture.js'
import { createFixture, type Fixture, type TestOrganization } from '../fixture.js'
import { android, createKeyPair, createLiveUpdateApp, type LiveUpdateApp, zipOf } from '../live-update-app.js'

type Operation = { operationId: string; security?: Record<string, string[]>[] }
type Route = { method: string; path: string; id: string }
type Ids = Record<string, string>

let fixture: Fixture
let victim: TestOrganization
let attacker: TestOrganization
let routes: Route[]
let real: Ids
/** Ids of another app of the same organization, as the victim's own people could mix them up. */
let sibling: LiveUpdateApp

beforeAll(async () => {
  const start = new Date()
  fixture = await createFixture({ overrides: { now: () => start } })
  victim = await fixture.createOrganization('Victim')
  attacker = await fixture.createOrganization('Attacker')
  const app = await createLiveUpdateApp(fixture, victim)
  sibling = await createLiveUpdateApp(fixture, victim, 'Sibling')
  real = await fillApp(app)
  const document = fixture.app.getOpenAPI31Document({ openapi: '3.1.0', info: { title: 'x', version: '1' } })
  routes = Object.entries(document.paths ?? {}).flatMap(([path, item]) =>
    Object.entries(item as Record<string, Operation>)
      .filter(([, { security }]) => security?.some((entry) => (entry.token ?? []).length > 0))
      .map(([method, { operationId }]) => ({ method: method.toUpperCase(), path, id: operationId })),
  )
})
afterAll(() => fixture[Symbol.asyncDispose]())

/** One real row of each kind that a path can name. */
async function fillApp(app: LiveUpdateApp): Promise<Ids> {
  const testApp = { id: app.appId, org: victim, token: victim.tokens.member }
  const credentialId = await addCertificate(fixture, testApp, 'Upload key')
  const build = await queueBuild(fixture, testApp)
  const claim = await claimed(fixture, await fixture.createWorker(), build.id)
  const artifactId = await storeArtifact(fixture, claim, sourceZip())
  const channel = await app.must('POST', '/channels', { name: 'production' })
  const published = await app.publishZip(zipOf({ 'index.html': 'a' }), { bundle: { channelName: 'production' } })
  const { appDeploymentId } = await published.response.json<{ appDeploymentId: string }>()
  const open = await app.must('POST', '/bundles', { artifactType: 'zip' })
  const pending = await app.sendFile(open.id, { sizeInBytes: 10, checksum: 'a'.repeat(64) })
  const { id: fileId } = await pending.json<{ id: string }>()
  await app.latest(android('production'))
  const key = await app.must('POST', '/public-keys', { pem: createKeyPair().publicPem })
  const { appBuildSourceId } = await app.must<{ appBuildSourceId: string }>('GET', `/builds/${build.id}`)
  const tokens = `/v1/organizations/${victim.id}/tokens`
  const created = await fixture.request('POST', tokens, { token: victim.tokens.owner, body: { name: 'ci' } })
  return {
    appId: app.appId,
    organizationId: victim.id,
    jobId: build.jobId,
    buildId: build.id,
    buildSourceId: appBuildSourceId,
    artifactId,
    channelId: channel.id,
    bundleId: open.id,
    fileId,
    deploymentId: appDeploymentId,
    deviceId: '8b0f7c1e-8f51-4b6a-9c3e-000000000001',
    publicKeyId: key.id,
    tokenId: (await created.json<{ id: string }>()).id,
    certificateId: credentialId,
    credentialId,
  }
}

const fill = (path: string, ids: Ids) => path.replaceAll(/\{([^}]+)\}/g, (_, name: string) => ids[name] ?? randomUUID())
const withQuery = (path: string) => (path.endsWith('/upload') ? `${path}?action=mpu-create` : path)
const send = (route: Route, ids: Ids, token: string) =>
  fixture.request(route.method, withQuery(fill(route.path, ids)), {
    token,
    ...(route.method === 'GET' || route.method === 'DELETE' ? {} : { body: bodies[route.id] ?? {} }),
  })

/** What of a refusal may differ between two requests. */
async function comparable(answer: Awaited<ReturnType<typeof send>>) {
  const { requestId: _, ...rest } = JSON.parse(
    (await answer.text()).replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, '<id>'),
  )
  return { status: answer.status, type: answer.headers.get('content-type'), ...rest }
}

describe('ids of another organization', () => {
  test('are answered like ids that do not exist, on every route', async () => {
    expect(routes.length).toBeGreaterThan(40)
    for (const route of routes) {
      if (!route.path.includes('{')) continue
      const theirs = await comparable(await send(route, real, attacker.tokens.owner))
      const nobodys = await comparable(await send(route, {}, attacker.tokens.owner))
      expect({ route: route.id, ...theirs }).toEqual({ route: route.id, ...nobodys })
      expect([route.id, theirs.status]).toEqual([route.id, 404])
    }
  })

  test('named in the attacker’s own paths are answered 404 as well', async () => {
    const own = await createLiveUpdateApp(fixture, attacker)
    const mixed = { ...real, appId: own.appId, organizationId: attacker.id }
    await expectHidden(mixed, attacker.tokens.owner)
  })

  test('of another app of the same organization do not work under this one', async () => {
    await expectHidden({ ...real, appId: sibling.appId }, victim.tokens.owner)
  })

  test('are an event in the log of the organization that was asked about, few a minute', async () => {
    const rows = async () => {
      const path = `/v1/organizations/${victim.id}/audit-events?action=authz.denied`
      const answer = await fixture.request('GET', path, { token: victim.tokens.owner })
      return (await answer.json<{ event: string }[]>()).map(({ event }) => JSON.parse(event))
    }
    await fixture.request('GET', `/v1/apps/${real.appId}`, { token: attacker.tokens.viewer })
    await expect
      .poll(async () => (await rows()).map(({ actor }) => actor.id))
      .toEqual([attacker.userIds.viewer, attacker.userIds.owner])
    expect((await rows())[0]).toMatchObject({
      outcome: 'refused',
      actor: { type: 'user', via: { type: 'token' } },
      target: { organization: victim.id },
    })
  })

  test('were changed by nothing of that', async () => {
    const token = victim.tokens.owner
    const paths = [
      '',
      '/builds/{buildId}',
      '/channels/{channelId}',
      '/deployments/{deploymentId}',
      '/devices/{deviceId}',
    ]
    for (const path of paths) {
      const answer = await fixture.request('GET', fill(`/v1/apps/{appId}${path}`, real), { token })
      expect([path, answer.status]).toEqual([path, 200])
    }
    const job = await fixture.request('GET', `/v1/jobs/${real.jobId}`, { token })
    expect(await job.json()).toMatchObject({ status: 'in_progress' })
  })
})

/**
 * Routes under these ids answer as they do for ids that nobody has. One whose body does not fit says so before it looks
 * at any id, which tells nothing; reading has no body and is 404.
 */
async function expectHidden(ids: Ids, token: string): Promise<void> {
  let hidden = 0
  for (const route of routes) {
    const [root, ...nested] = [...route.path.matchAll(/\{([^}]+)\}/g)].map(([, name]) => name ?? '')
    if (root === undefined || !nested.some((name) => ids[name]) || ids[root] === real[root]) continue
    const nobodys = { [root]: ids[root] ?? '' }
    const answer = await comparable(await send(route, ids, token))
    expect({ route: route.id, ...answer }).toEqual({
      route: route.id,
      ...(await comparable(await send(route, nobodys, token))),
    })
    expect([route.id, answer.status >= 400 && answer.status < 500]).toEqual([route.id, true])
    if (route.method === 'GET') expect([route.id, answer.status]).toEqual([route.id, 404])
    hidden += 1
  }
  expect(hidden).toBeGreaterThan(15)
}

/** Bodies that their routes take, so that only the ids can be what is refused. */
const bodies: Record<string, object> = {
  forceChannelOfDevice: { forcedAppChannelId: null },
  updateJob: { status: 'canceled' },
}
