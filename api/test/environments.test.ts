import {
  auditEvents,
  jobs,
  leases,
  newId,
  openDatabase,
  personalValues,
  sealedValues,
  withOrg,
} from '@capstan/migrations'
import { and, desc, eq } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { claimed, createTestApp, queueBuild, type TestApp, type TestWorker, underLease } from './build-fixture.js'
import { type Answer, createFixture, type Fixture } from './fixture.js'
import { askSocket, type BrokerSocketPaths, chooseSockets, startTestBroker, type TestBroker } from './test-broker.js'

let fixture: Fixture
let sockets: BrokerSocketPaths
let broker: TestBroker
let app: TestApp
let worker: TestWorker
const CANARY = 'canary-0f3c9a-secret-value'

beforeAll(async () => {
  sockets = await chooseSockets()
  fixture = await createFixture({ sealSocket: sockets.sealSocket })
  broker = await startTestBroker(fixture, sockets)
  worker = await fixture.createWorker()
})
afterAll(async () => {
  await broker[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})
beforeEach(async () => {
  app = await createTestApp(fixture)
})

type Body = { id: string; name: string; code: string; message: string } & Record<string, unknown>
const at = (path: string, of = app) => `/v1/apps/${of.id}/environments${path}`
const ask = (method: string, path: string, body?: unknown, token = app.token) =>
  fixture.request(method, at(path), { token, ...(body === undefined ? {} : { body }) })
async function create(name = 'Production'): Promise<string> {
  const answer = await ask('POST', '', { name, appId: app.id })
  expect(answer.status).toBe(201)
  return (await answer.json<Body>()).id
}
const set = async (id: string, kind: 'variables' | 'secrets', values: Record<string, string>) => {
  const list = Object.entries(values).map(([key, value]) => ({ key, value }))
  expect((await ask('POST', `/${id}/${kind}/set`, list)).status).toBe(204)
}
async function problem(answer: Promise<Answer>, status: number): Promise<Body> {
  const found = await answer
  expect(found.status).toBe(status)
  return found.json<Body>()
}
const both = 'relations=appEnvironmentVariables,appEnvironmentSecrets'
const open = (token: string, attempt = 1, purpose = 'variables') =>
  askSocket(sockets.openSocket, '/open-secrets', { token, body: { attempt, purpose } })
const lastEvent = async () => {
  const [row] = await withOrg(fixture.deps.db, app.org.id, (tx) =>
    tx.select().from(auditEvents).orderBy(desc(auditEvents.seq)).limit(1),
  )
  return JSON.parse(row?.event ?? '{}') as Record<string, unknown>
}

describe('an environment', () => {
  test('shows its variables with values and its secrets by name alone', async () => {
    const id = await create()
    await set(id, 'variables', { STAGE: 'live', REGION: 'north' })
    await set(id, 'secrets', { API_KEY: CANARY })
    const one = await (await ask('GET', `/${id}?${both}`)).json<Body>()
    expect(one).toMatchObject({
      name: 'Production',
      appEnvironmentVariables: [
        { key: 'REGION', value: 'north' },
        { key: 'STAGE', value: 'live' },
      ],
      appEnvironmentSecrets: [{ key: 'API_KEY' }],
    })
    const listed = await (await ask('GET', `?name=production&${both}`)).json<Body[]>()
    expect(listed).toEqual([one])
    expect(JSON.stringify(one)).not.toContain('canary')
    const bare = await (await ask('GET', `/${id}`)).json<Body>()
    expect(bare).not.toHaveProperty('appEnvironmentVariables')
    expect(JSON.stringify(await lastEvent())).not.toContain('canary')
  })

  test('takes new values, loses unset ones, and keeps the rest', async () => {
    const id = await create()
    await set(id, 'variables', { A: '1', B: '2' })
    await set(id, 'variables', { B: '3', C: '4' })
    await set(id, 'secrets', { S: 'one', T: 'two' })
    expect((await ask('POST', `/${id}/variables/unset`, ['A', 'NOT_THERE'])).status).toBe(204)
    expect((await ask('POST', `/${id}/secrets/unset`, ['S'])).status).toBe(204)
    expect(await (await ask('GET', `/${id}?${both}`)).json()).toMatchObject({
      appEnvironmentVariables: [
        { key: 'B', value: '3' },
        { key: 'C', value: '4' },
      ],
      appEnvironmentSecrets: [{ key: 'T' }],
    })
  })

  test('of the same name, whatever its case, is refused', async () => {
    await create('Staging')
    const taken = await problem(ask('POST', '', { name: 'staging' }), 409)
    expect(taken.code).toBe('environment-name-taken')
    const other = await create('Other')
    expect((await ask('PATCH', `/${other}`, { name: 'STAGING' })).status).toBe(409)
    expect(await (await ask('PATCH', `/${other}`, { name: 'Renamed' })).json()).toMatchObject({ name: 'Renamed' })
  })

  test.each([
    ['a name that no shell takes', [{ key: 'A-B', value: 'x' }]],
    ['a NUL character', [{ key: 'A', value: 'x\0y' }]],
    [
      'more than an environment holds',
      [
        { key: 'A', value: 'x'.repeat(60_000) },
        { key: 'B', value: 'x'.repeat(60_000) },
      ],
    ],
  ])('refuses variables with %s and keeps nothing', async (_name, list) => {
    const id = await create()
    expect((await ask('POST', `/${id}/variables/set`, list)).status).toBe(422)
    expect(await (await ask('GET', `/${id}?${both}`)).json()).toMatchObject({ appEnvironmentVariables: [] })
  })

  test('is nothing to another organization or to a viewer who would change it', async () => {
    const id = await create()
    const stranger = await fixture.createOrganization()
    const foreign = [
      ask('GET', `/${id}`, undefined, stranger.tokens.owner),
      ask('POST', `/${id}/secrets/set`, [{ key: 'A', value: 'x' }], stranger.tokens.owner),
      ask('DELETE', `/${id}`, undefined, stranger.tokens.owner),
    ]
    for (const answer of foreign) expect((await answer).status).toBe(404)
    const viewer = app.org.tokens.viewer
    expect((await ask('POST', `/${id}/secrets/set`, [{ key: 'A', value: 'x' }], viewer)).status).toBe(403)
    expect((await ask('GET', `/${id}`, undefined, viewer)).status).toBe(200)
    const other = await createTestApp(fixture, app.org)
    expect((await fixture.request('GET', at(`/${id}`, other), { token: app.token })).status).toBe(404)
  })

  test('that a waiting build uses is not deleted; later it is, by name, and its key with it', async () => {
    const id = await create('Prod')
    await set(id, 'secrets', { API_KEY: CANARY })
    const build = await queueBuild(fixture, app, { appEnvironmentName: 'prod' })
    expect((await problem(ask('DELETE', '?name=prod'), 409)).code).toBe('environment-in-use')
    await fixture.request('PATCH', `/v1/jobs/${build.jobId}`, { token: app.token, body: { status: 'canceled' } })
    expect((await ask('DELETE', '?name=prod')).status).toBe(204)
    expect((await ask('GET', `/${id}`)).status).toBe(404)
    await expect(broker.keys.generateDek(contextOf(id))).rejects.toMatchObject({ reason: 'key-destroyed' })
  })
})

const contextOf = (environmentId: string) => ({
  org: app.org.id,
  app: app.id,
  credential: environmentId,
  kind: `environment-secret:${newId()}:X`,
  version: '1',
})

describe('the secrets of a build', () => {
  async function start(): Promise<{ token: string; buildId: string; jobId: string }> {
    const id = await create()
    await set(id, 'variables', { STAGE: 'live', SHARED: 'environment' })
    await set(id, 'secrets', { API_KEY: CANARY, SHARED_SECRET: 'environment' })
    const build = await queueBuild(fixture, app, {
      appEnvironmentId: id,
      adHocEnvironmentVariables: { OWN: 'ad-hoc value', SHARED_SECRET: 'ad-hoc' },
    })
    const { spec, lease } = await claimed(fixture, worker, build.id)
    expect(spec).toMatchObject({ hasSecretVariables: true, variables: { STAGE: 'live', SHARED: 'environment' } })
    expect(JSON.stringify(spec)).not.toMatch(/canary|ad-hoc/)
    return { token: lease.token, buildId: build.id, jobId: build.jobId }
  }

  test('are opened once for its live lease, with an audit event that names and does not show them', async () => {
    const { token, buildId } = await start()
    const replies = await Promise.all([open(token), open(token), open(token)])
    expect(replies.map(({ status }) => status).sort((one, other) => one - other)).toEqual([200, 403, 403])
    expect(JSON.parse(replies.find(({ status }) => status === 200)?.text ?? '')).toEqual({
      variables: { API_KEY: CANARY, OWN: 'ad-hoc value', SHARED_SECRET: 'ad-hoc' },
    })
    const rows = await withOrg(fixture.deps.db, app.org.id, (tx) =>
      tx.select().from(auditEvents).where(eq(auditEvents.action, 'build.secrets_opened')),
    )
    expect(rows).toHaveLength(1)
    expect(JSON.parse(rows[0]?.event ?? '')).toMatchObject({
      target: { build: buildId },
      data: { purpose: 'variables', attempt: 1 },
    })
    const values = await withOrg(fixture.deps.db, app.org.id, (tx) =>
      tx
        .select({ value: personalValues.value })
        .from(personalValues)
        .where(and(eq(personalValues.seq, rows[0]?.seq ?? 0), eq(personalValues.name, 'names'))),
    )
    expect(values).toEqual([{ value: '["API_KEY","SHARED_SECRET","variables"]' }])
    expect(rows[0]?.event).not.toMatch(/canary|ad-hoc/)
  })

  test('lie nowhere in the database as they are', async () => {
    const { buildId } = await start()
    await using owner = openDatabase({ url: fixture.ownerUrl, poolSize: 1 })
    const tables = await owner.sql<{ name: string }[]>`
      select table_name as name from information_schema.tables where table_schema = 'public' and table_type = 'BASE TABLE'`
    let text = ''
    for (const { name } of tables)
      text += JSON.stringify(await owner.sql.unsafe(`select t::text as row from ${name} t`))
    expect(text).toContain(buildId)
    for (const secret of [CANARY, 'ad-hoc value', Buffer.from(CANARY).toString('hex')])
      expect(text).not.toContain(secret)
  })

  const cases: [string, (at: { jobId: string; token: string }) => Promise<unknown>, number?][] = [
    ['attempt-differs', async () => undefined, 2],
    [
      'lease-expired',
      ({ jobId }) =>
        withOrg(fixture.deps.db, app.org.id, (tx) =>
          tx
            .update(leases)
            .set({ expiresAt: new Date(Date.now() - 1) })
            .where(eq(leases.jobId, jobId)),
        ),
    ],
    [
      'attempt-superseded',
      ({ jobId }) =>
        withOrg(fixture.deps.db, app.org.id, (tx) => tx.update(jobs).set({ attempt: 2 }).where(eq(jobs.id, jobId))),
    ],
    [
      'cancel-requested',
      ({ jobId }) => fixture.request('PATCH', `/v1/jobs/${jobId}`, { token: app.token, body: { status: 'canceled' } }),
    ],
  ]
  test.each(cases)('are refused with the one answer: %s', async (reason, arrange, attempt = 1) => {
    const started = await start()
    await arrange(started)
    const text = '{"code":"open-refused","message":"The credential cannot be opened."}'
    expect(await open(started.token, attempt)).toEqual({ status: 403, text })
    expect(await lastEvent()).toMatchObject({ action: 'build.secrets_refused', outcome: 'refused', data: { reason } })
  })

  test('are refused once the build has ended, to a made-up token, and where there are none', async () => {
    const { token } = await start()
    const end = { status: 'failed', code: 'x', message: 'x' }
    await fixture.request('POST', '/worker/v1/lease/finish', { token, body: end })
    expect((await open(token)).status).toBe(403)
    expect((await open(`cl_${'a'.repeat(36)}`)).status).toBe(403)
    const plain = await claimed(fixture, worker, (await queueBuild(fixture, app)).id)
    expect((await open(plain.lease.token)).status).toBe(403)
    expect(await lastEvent()).toMatchObject({ data: { reason: 'nothing-sealed' } })
    expect((await underLease(fixture, plain, 'heartbeat')).status).toBe(200)
  })

  test('of another environment do not open when their ciphertext is moved here', async () => {
    const other = await create('Other')
    await set(other, 'secrets', { API_KEY: 'not yours' })
    const { token, buildId } = await start()
    await withOrg(fixture.deps.db, app.org.id, async (tx) => {
      const [theirs] = await tx.select().from(sealedValues).where(eq(sealedValues.environmentId, other))
      await tx.update(sealedValues).set({ envelope: theirs!.envelope }).where(eq(sealedValues.buildId, buildId))
    })
    expect((await open(token)).status).toBe(403)
    expect(await lastEvent()).toMatchObject({ action: 'build.secrets_decrypt_failed' })
  })

  test('move to a new key with everything else, and open afterwards', async () => {
    const { token } = await start()
    const admin = (path: string, body: unknown) => askSocket(sockets.adminSocket, path, { body })
    await admin('/rotate', { org: app.org.id })
    const step = JSON.parse((await admin('/rewrap', { org: app.org.id })).text) as Body
    expect(step).toMatchObject({ rows: 3, unreadable: [], remaining: { rows: 0, records: 0 } })
    expect(JSON.parse((await open(token)).text)).toMatchObject({ variables: { API_KEY: CANARY } })
  })
})

describe('the default environment of an app', () => {
  test('is what builds are given that name none', async () => {
    const id = await create()
    await set(id, 'variables', { STAGE: 'default' })
    const body = { appEnvironmentId: id, egressHosts: ['Maven.Example.com', '*.example.org'] }
    const changed = await fixture.request('PATCH', `/v1/apps/${app.id}`, { token: app.org.tokens.admin, body })
    expect(await changed.json()).toMatchObject({
      appEnvironmentId: id,
      egressHosts: ['maven.example.com', '*.example.org'],
    })
    const build = await queueBuild(fixture, app)
    const { spec } = await claimed(fixture, worker, build.id)
    expect(spec).toMatchObject({
      variables: { STAGE: 'default' },
      egressHosts: body.egressHosts.map((h) => h.toLowerCase()),
    })
  })

  test.each(['10.0.0.1', 'localhost', '*', 'a b.example', 'https://x.example'])(
    'egress host %s is refused',
    async (host) => {
      const answer = await fixture.request('PATCH', `/v1/apps/${app.id}`, {
        token: app.org.tokens.admin,
        body: { egressHosts: [host] },
      })
      expect(answer.status).toBe(422)
    },
  )
})
