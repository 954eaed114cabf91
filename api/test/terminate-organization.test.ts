import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { apiTokens, jobs, newId, type OpenDatabase, openDatabase, organizations, withOrg } from '@capstan/migrations'
import { eq, sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { createToken, hashToken } from '../src/auth/tokens.js'
import { eraseOrganizations } from '../src/control/erase-organizations.js'
import type { BuildQueue } from '../src/control/build-queue.js'
import type { ControlDeps } from '../src/control/control-deps.js'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import { leaseBuild, storeApp, storeCredential, type StoredCredential } from './leased-build.js'
import { keysBelow, storeDamaged } from './stored-objects.js'
import { askSocket, type BrokerSocketPaths, chooseSockets, startTestBroker, type TestBroker } from './test-broker.js'
import { expectStatus } from './version-fixture.js'

type Termination = { state: string; deletionCertificateId: string; keysDestroyedAt: string; keyBackupsUntil: string }
const capstan = fileURLToPath(new URL('../../sdk/bin/capstan.js', import.meta.url))
const run = promisify(execFile)

let fixture: Fixture
let sockets: BrokerSocketPaths
let broker: TestBroker
let database: OpenDatabase
let control: ControlDeps

beforeAll(async () => {
  sockets = await chooseSockets()
  fixture = await createFixture({ sealSocket: sockets.sealSocket })
  broker = await startTestBroker(fixture, sockets)
  database = openDatabase({ url: fixture.databaseUrl('control'), poolSize: 2 })
  const { objects, redis, log, now, outbound } = fixture.deps
  // Erasing asks nothing of the queue.
  control = {
    db: database.db,
    objects,
    redis,
    staticParts: null,
    publicUrl: 'http://capstan.test',
    mailKey: null,
    log,
    now,
    outbound,
    queue: null as unknown as BuildQueue,
  }
})
afterAll(async () => {
  await database[Symbol.asyncDispose]()
  await broker[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})

type Place = { org: TestOrganization; appId: string; credential: StoredCredential; objectKey: string }
let count = 0
async function settle(): Promise<Place> {
  const org = await fixture.createOrganization(`Acme ${(count += 1)}`)
  const appId = await storeApp(fixture, org.id)
  const credential = await storeCredential(fixture, org.id, appId, 'payload')
  const objectKey = `orgs/${org.id}/apps/${appId}/artifacts/1`
  await fixture.deps.objects.put(objectKey, Buffer.from('app'), { contentType: 'application/zip' })
  return { org, appId, credential, objectKey }
}
const endBy = (org: TestOrganization, name: string, token: string) =>
  fixture.request('DELETE', `/v1/organizations/${org.id}`, { token, body: { name } })
const end = async (org: TestOrganization, name: string, userId = org.userIds.owner) =>
  endBy(org, name, (await fixture.signIn(userId, { secondFactorAt: new Date() })).token)
const see = (org: TestOrganization) =>
  fixture.request('GET', `/v1/organizations/${org.id}`, { token: org.tokens.owner })
const open = async (org: TestOrganization, credential: StoredCredential) => {
  const build = await leaseBuild(fixture, org.id, credential)
  return { build, ask: () => askSocket(sockets.openSocket, '/open', { token: build.token, body: build.request }) }
}

test('only an owner who types the name ends an organization; nothing changes otherwise', async () => {
  const { org, credential } = await settle()
  const admin = await end(org, `Acme ${count}`, org.userIds.admin)
  expect([admin.status, (await admin.json<{ code: string }>()).code]).toEqual([403, 'permission-missing'])
  const typo = await end(org, 'acme')
  expect([typo.status, (await typo.json<{ code: string }>()).code]).toEqual([422, 'confirmation-differs'])
  const stranger = await end(org, `Acme ${count}`, (await fixture.createOrganization()).userIds.owner)
  expect(stranger.status).toBe(404)
  const token = await endBy(org, `Acme ${count}`, org.tokens.owner)
  expect([token.status, (await token.json<{ code: string }>()).code]).toEqual([403, 'session-needed'])
  expect((await see(org)).status).toBe(200)
  expect((await (await open(org, credential)).ask()).status).toBe(200)
})

test('while the broker is away nothing ends, and the call can be made again', async () => {
  const away = await createFixture()
  const org = await away.createOrganization('Acme')
  const { token } = await away.signIn(org.userIds.owner, { secondFactorAt: new Date() })
  const request = () => away.request('DELETE', `/v1/organizations/${org.id}`, { token, body: { name: 'Acme' } })
  for (const answer of [await request(), await request()]) {
    expect([answer.status, (await answer.json<{ code: string }>()).code]).toEqual([503, 'dependency-unavailable'])
  }
  expect((await away.request('GET', `/v1/organizations/${org.id}`, { token: org.tokens.owner })).status).toBe(200)
  await away[Symbol.asyncDispose]()
})

test('members, tokens, builds and keys end at once, what was stored is erased, the certificate stays', async () => {
  const [{ org, credential, objectKey }, other] = [await settle(), await settle()]
  await storeDamaged(fixture, `orgs/${org.id}/apps/${credential.appId}/artifacts/2`)
  const running = await open(org, credential)
  const waiting = await leaseBuild(fixture, org.id, credential)
  const inOrg = <T>(work: Parameters<typeof withOrg<T>>[2]) => withOrg(fixture.deps.db, org.id, work)
  await inOrg((tx) => tx.update(jobs).set({ status: 'queued', attempt: 0 }).where(eq(jobs.id, waiting.jobId)))
  const name = (await (await see(org)).json<{ name: string }>()).name

  const ended = await expectStatus<Termination>(await end(org, name), 202)
  expect(ended.state).toBe('terminating')
  expect(Date.parse(ended.keyBackupsUntil) - Date.parse(ended.keysDestroyedAt)).toBe(7 * 86_400_000)
  for (const token of Object.values(org.tokens)) {
    const answer = await fixture.request('GET', `/v1/organizations/${org.id}`, { token })
    expect([401, 404]).toContain(answer.status)
  }
  expect((await running.ask()).status).toBe(403)
  const found = await inOrg((tx) => tx.select({ status: jobs.status, code: jobs.statusCode }).from(jobs))
  expect(found.map(({ status }) => status)).toEqual(['canceled', 'canceled'])

  expect(await eraseOrganizations(control)).toBe(1)
  expect(await keysBelow(fixture, `orgs/${org.id}/`)).toEqual([])
  const stateOf = async () => (await inOrg((tx) => tx.select().from(organizations)))[0]
  expect(await stateOf()).toMatchObject({ name: 'terminated', terminatedAt: null })
  expect(await inOrg((tx) => tx.select().from(jobs))).toEqual([])

  // A link that was given out before the end still stores; it is found as long as such links live.
  await fixture.deps.objects.put(objectKey, Buffer.from('late'), { contentType: 'application/zip' })
  expect(await eraseOrganizations(control)).toBe(1)
  expect(await fixture.deps.objects.head(objectKey)).toBeNull()
  const later = { ...control, now: () => new Date(Date.now() + 3 * 60 * 60_000) }
  expect(await eraseOrganizations(later)).toBe(1)
  expect(await stateOf()).toMatchObject({ terminatedAt: expect.any(Date) as Date })
  expect(await eraseOrganizations(later)).toBe(0)
  expect((await (await open(other.org, other.credential)).ask()).status).toBe(200)
  expect(await fixture.deps.objects.head(other.objectKey)).not.toBeNull()

  const { subject, versions } = await verify(ended.deletionCertificateId)
  expect(subject).toEqual({ kind: 'organization', id: org.id })
  expect(versions).toMatchObject([{ credential: credential.id, version: 1 }])
})

test('no token that is made at the same moment survives, nor counts one that is written past all checks', async () => {
  const { org } = await settle()
  const name = (await (await see(org)).json<{ name: string }>()).name
  const body = { name: 'ci', kind: 'service', scopes: ['organizations:read'] }
  const make = () =>
    fixture
      .request('POST', `/v1/organizations/${org.id}/tokens`, { token: org.tokens.owner, body })
      .then(async (answer) => ({
        status: answer.status,
        ...(await answer.json<{ token?: string }>()),
      }))
  const before = await make()
  const works = async (token: string | undefined) =>
    (await fixture.request('GET', `/v1/organizations/${org.id}`, { token: token ?? 'none' })).status
  expect([before.status, await works(before.token)]).toEqual([201, 200])
  const [ended, ...made] = await Promise.all([end(org, name), ...Array.from({ length: 10 }, make)])
  expect(ended.status).toBe(202)
  for (const { token } of [before, ...made]) expect(await works(token)).not.toBe(200)

  const written = createToken('ca')
  await using owner = openDatabase({ url: fixture.ownerUrl, poolSize: 1 })
  await owner.db.transaction(async (tx) => {
    await tx.execute(sql`set local session_replication_role = replica`)
    const [tokenHash, expiresAt] = [hashToken(fixture.deps.pepper, written), new Date(Date.now() + 60_000)]
    const row = { ...body, kind: 'service' as const, tokenHash, expiresAt, lastFour: written.slice(-4) }
    await tx.insert(apiTokens).values({ id: newId(), orgId: org.id, userId: org.userIds.owner, ...row })
  })
  expect(await works(written)).toBe(404)
})

test('the certificate of a deleted credential is found by its id and verified by anybody', async () => {
  const { org, appId, credential } = await settle()
  const path = `/v1/apps/${appId}/certificates/${credential.id}`
  expect((await fixture.request('DELETE', path, { token: org.tokens.admin })).status).toBe(204)
  const listed = await fixture.request(
    'GET',
    `/v1/organizations/${org.id}/deletion-certificates?subjectId=${credential.id}`,
    { token: org.tokens.viewer },
  )
  const [entry, more] = await expectStatus<{ id: string; subjectKind: string }[]>(listed, 200)
  expect([entry?.subjectKind, more]).toEqual(['credential', undefined])
  expect((await verify(entry!.id)).subject).toEqual({ kind: 'credential', id: credential.id })
  const unknown = await fixture.request('GET', `/v1/deletion-certificates/${org.id}`)
  expect(unknown.status).toBe(404)
})

/** As a stranger does it: certificate and key over HTTP without a token, then the command, then OpenSSL. */
async function verify(id: string) {
  const envelope = await expectStatus<{ payloadType: string; payload: string; signatures: { sig: string }[] }>(
    await fixture.request('GET', `/v1/deletion-certificates/${id}`),
    200,
  )
  const [key] = await expectStatus<{ pem: string }[]>(await fixture.request('GET', '/v1/deletion-keys'), 200)
  const at = (name: string) => join(fixture.folder, `${id}-${name}`)
  const payload = Buffer.from(envelope.payload, 'base64')
  await writeFile(at('certificate.json'), JSON.stringify(envelope))
  await writeFile(at('key.pem'), key!.pem)
  const { stdout } = await run(process.execPath, [
    capstan,
    'keys',
    'verify',
    at('certificate.json'),
    '--key',
    at('key.pem'),
  ])
  expect(stdout).toContain('destroyed: ')
  const pae = `DSSEv1 ${envelope.payloadType.length} ${envelope.payloadType} ${payload.length} `
  await writeFile(at('signed'), Buffer.concat([Buffer.from(pae), payload]))
  await writeFile(at('signature'), Buffer.from(envelope.signatures[0]!.sig, 'base64'))
  const openssl = ['pkeyutl', '-verify', '-pubin', '-rawin', '-inkey', at('key.pem'), '-in', at('signed')]
  expect((await run('openssl', [...openssl, '-sigfile', at('signature')])).stdout).toContain('Verified Successfully')
  const forged = { ...envelope, payload: Buffer.from(payload.toString().replace('"v":1', '"v": 1')).toString('base64') }
  await writeFile(at('forged.json'), JSON.stringify(forged))
  await expect(
    run(process.execPath, [capstan, 'keys', 'verify', at('forged.json'), '--key', at('key.pem')]),
  ).rejects.toMatchObject({ code: 1 })
  return JSON.parse(payload.toString('utf8')) as { subject: object; versions: object[] }
}
