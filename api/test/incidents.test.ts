import { channels, credentialVersions, newId, openDatabase, trustPolicies, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { ControlDeps } from '../src/control/control-deps.js'
import { watchIncidents } from '../src/control/watch-incidents.js'
import { addCertificate, createTestApp, queueBuild } from './build-fixture.js'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import { createOperator } from './operator-calls.js'

const HOUR = 3_600_000
let fixture: Fixture
let operator: { id: string; token: string }
let touched: TestOrganization
let untouched: TestOrganization
let appId: string
let now = new Date()

beforeAll(async () => {
  fixture = await createFixture({ overrides: { now: () => now } })
  operator = await createOperator(fixture)
})
beforeEach(async () => {
  now = new Date()
  touched = await fixture.createOrganization('Touched')
  untouched = await fixture.createOrganization('Untouched')
  for (const org of [touched, untouched]) {
    const answer = await fixture.request('POST', '/v1/apps', { token: org.tokens.owner, body: { name: 'x' } })
    const { id } = await answer.json<{ id: string }>()
    if (org === touched) appId = id
  }
})
afterAll(() => fixture[Symbol.asyncDispose]())

type Incident = { id: string; state: string; deadlineAt: string | null; organizations: object[]; steps: object[] }
const call = (method: string, path: string, body?: unknown, token = operator.token) =>
  fixture.request(method, `/operator/v1/incidents${path}`, { token, ...(body === undefined ? {} : { body }) })
async function must<T = Incident>(method: string, path: string, body?: unknown): Promise<T> {
  const answer = await call(method, path, body)
  expect(answer.status, path).toBeLessThan(300)
  return answer.json<T>()
}
const begin = (classes: string[], awareAt = now) =>
  must('POST', '', { title: 'x', classes, awareAt: awareAt.toISOString(), evidence: 'a log of the proxy' })
const assess = (id: string) =>
  must('POST', `/${id}/assessment`, {
    from: new Date(now.getTime() - HOUR).toISOString(),
    to: new Date(now.getTime() + HOUR).toISOString(),
    target: appId,
  })
const move = (id: string, state: string) => call('POST', `/${id}/steps`, { state, evidence: `it was ${state}` })
const notify = (id: string, kind: string) =>
  call('POST', `/${id}/notices`, { kind, message: 'What happened, what to do.' })
const codeOf = async (answer: Awaited<ReturnType<typeof call>>) => [answer.status, (await answer.json()).code]
async function actionsOf(org: TestOrganization): Promise<string[]> {
  const path = `/v1/organizations/${org.id}/audit-events`
  const answer = await fixture.request('GET', path, { token: org.tokens.owner })
  return (await answer.json<{ event: string }[]>()).map(({ event }) => JSON.parse(event).action).toReversed()
}

describe('incidents', () => {
  test('go from one state to the next, each with evidence, and skip none', async () => {
    const { id, deadlineAt } = await begin(['other'])
    expect(deadlineAt).toBeNull()
    for (const state of ['closed', 'review', 'remediate', 'detect']) {
      expect(await codeOf(await move(id, state))).toEqual([409, 'incident-transition-refused'])
    }
    await assess(id)
    expect((await call('POST', `/${id}/steps`, { state: 'contain', evidence: ' ' })).status).toBe(422)
    for (const state of ['contain', 'remediate', 'review', 'closed']) expect((await move(id, state)).status).toBe(200)
    const closed = await must('GET', `/${id}`)
    expect(closed.state).toBe('closed')
    expect(closed.steps).toHaveLength(5)
    expect(await codeOf(await move(id, 'closed'))).toEqual([409, 'incident-transition-refused'])
  })

  test('concern those whose logs say so, and no others', async () => {
    const { id } = await begin(['personal_data'])
    const assessed = await assess(id)
    expect(assessed.organizations).toEqual([{ organizationId: touched.id, events: 1, notices: [] }])
    await assess(id)
    expect(await actionsOf(touched)).toEqual(['app.created', 'incident.affected'])
    expect(await actionsOf(untouched)).toEqual(['app.created'])
    const always = { from: new Date(0).toISOString(), to: now.toISOString() }
    expect((await call('POST', `/${id}/assessment`, always)).status).toBe(422)
  })

  test('of source, secrets or store credentials are not closed without a notice of their own', async () => {
    const { id } = await begin(['personal_data', 'store_credential'])
    for (const state of ['contain', 'remediate', 'review']) await move(id, state)
    expect(await codeOf(await move(id, 'closed'))).toEqual([409, 'incident-notice-missing'])
    expect(await codeOf(await notify(id, 'personal_data'))).toEqual([409, 'incident-notice-missing'])
    await assess(id)
    expect((await notify(id, 'personal_data')).status).toBe(201)
    expect(await codeOf(await move(id, 'closed'))).toEqual([409, 'incident-notice-missing'])
    expect((await notify(id, 'confidential_material')).status).toBe(201)
    expect((await move(id, 'closed')).status).toBe(200)
    const notices = (org: TestOrganization, token: string) =>
      fixture.request('GET', `/v1/organizations/${org.id}/incident-notices`, { token })
    const told = await (await notices(touched, touched.tokens.viewer)).json<{ kind: string; message: string }[]>()
    expect(told.map(({ kind }) => kind).toSorted()).toEqual(['confidential_material', 'personal_data'])
    expect(told[0]?.message).toContain('What happened')
    expect(await (await notices(untouched, untouched.tokens.viewer)).json()).toEqual([])
    expect((await notices(touched, untouched.tokens.owner)).status).toBe(404)
  })

  test('are contained: tokens, channels, builds, a credential', async () => {
    const app = await createTestApp(fixture, touched)
    await fixture.request('POST', `/v1/apps/${app.id}/channels`, { token: touched.tokens.member, body: { name: 'a' } })
    const build = await queueBuild(fixture, app)
    const credentialId = await addCertificate(fixture, app, 'Key')
    const { id } = await begin(['store_credential'])
    await assess(id)
    const contain = (action: string, more: object = {}, organizationId = touched.id) =>
      call('POST', `/${id}/containments`, { organizationId, action, ...more })
    expect((await contain('revoke_tokens', {}, untouched.id)).status).toBe(404)
    expect(await (await contain('freeze_updates')).json()).toEqual({ stopped: 1 })
    expect(await (await contain('cancel_builds')).json()).toEqual({ stopped: 1 })
    expect((await contain('disable_credential')).status).toBe(422)
    expect(await (await contain('disable_credential', { credentialId })).json()).toEqual({ stopped: 1 })
    const job = await fixture.request('GET', `/v1/jobs/${build.jobId}`, { token: touched.tokens.viewer })
    expect(await job.json()).toMatchObject({ status: 'canceled', statusCode: 'incident-contained' })
    const [channel, version] = await withOrg(fixture.deps.db, touched.id, async (tx) => [
      (await tx.select().from(channels))[0],
      (await tx.select().from(credentialVersions).where(eq(credentialVersions.credentialId, credentialId)))[0],
    ])
    expect([channel?.pausedAt !== null, version?.status]).toEqual([true, 'retiring'])
    const events = await actionsOf(touched)
    expect(events.filter((action) => action === 'incident.contained')).toHaveLength(3)
    // Else a CI job would exchange its own token for a new one.
    const [orgId, createdBy] = [touched.id, touched.userIds.admin]
    const trusted = { issuer: 'https://ci.example.com', audience: 'capstan', claims: { sub: ['x'] }, tokenSeconds: 60 }
    const policy = { id: newId(), orgId, createdBy, name: 'ci', scopes: ['apps:read'], ...trusted }
    await withOrg(fixture.deps.db, orgId, (tx) => tx.insert(trustPolicies).values(policy))
    const { stopped } = await (await contain('revoke_tokens')).json<{ stopped: number }>()
    expect(stopped).toBeGreaterThanOrEqual(7)
    expect(await withOrg(fixture.deps.db, orgId, (tx) => tx.select().from(trustPolicies))).toEqual([])
    expect((await fixture.request('GET', '/v1/apps', { token: touched.tokens.owner })).status).toBe(401)
    expect((await fixture.request('GET', '/v1/apps', { token: untouched.tokens.owner })).status).toBe(200)
  })

  test('are listed, newest first and by state, for operators alone', async () => {
    const [first, second] = [await begin(['other']), await begin(['source'])]
    await move(first.id, 'contain')
    const all = await must<Incident[]>('GET', '')
    expect(all.slice(0, 2).map(({ id }) => id)).toEqual([second.id, first.id])
    expect(all[0]).toMatchObject({ createdBy: operator.id, state: 'detect' })
    const contained = await must<Incident[]>('GET', '?state=contain')
    expect(contained.map(({ id }) => id)).toContain(first.id)
    expect(contained.map(({ id }) => id)).not.toContain(second.id)
    expect((await call('GET', '', undefined, touched.tokens.owner)).status).toBe(401)
  })

  test('the clock of 48 hours runs also where nobody has computed whom it concerns, and not where it does not', async () => {
    await using database = openDatabase({ url: fixture.databaseUrl('control'), poolSize: 2 })
    const control = { db: database.db, log: pino({ level: 'silent' }), now: () => now } as unknown as ControlDeps
    const started = now
    const [unassessed, other] = [await begin(['personal_data']), await begin(['source'])]
    const notes = async (id: string) => (await must<{ steps: { operatorId: string | null }[] }>('GET', `/${id}`)).steps
    for (const [hours, length] of [
      [46, 1],
      [47, 2],
      [47, 2],
      [48, 3],
      [60, 3],
    ] as const) {
      now = new Date(started.getTime() + hours * HOUR + 1_000)
      await watchIncidents(control)
      expect([hours, await notes(unassessed.id)]).toEqual([hours, expect.objectContaining({ length })])
    }
    expect((await notes(unassessed.id)).map(({ operatorId }) => operatorId)).toEqual([operator.id, null, null])
    expect(await notes(other.id)).toHaveLength(1)
  })

  test('the clock of 48 hours warns and says what was missed, once', async () => {
    await using database = openDatabase({ url: fixture.databaseUrl('control'), poolSize: 2 })
    const control = { db: database.db, log: pino({ level: 'silent' }), now: () => now } as unknown as ControlDeps
    const started = now
    const [late, told, other] = [
      await begin(['personal_data']),
      await begin(['personal_data']),
      await begin(['source']),
    ]
    for (const { id } of [late, told, other]) await assess(id)
    expect(late.deadlineAt).toBe(new Date(started.getTime() + 48 * HOUR).toISOString())
    await notify(told.id, 'personal_data')
    /** Read at the time of the start: the tokens of the test do not live for two days. */
    const counted = async () => {
      const later = now
      now = started
      const found = (await actionsOf(touched)).filter((action) => action.startsWith('incident.deadline'))
      now = later
      return found
    }
    now = new Date(started.getTime() + 46 * HOUR)
    await watchIncidents(control)
    expect(await counted()).toEqual([])
    now = new Date(started.getTime() + 47 * HOUR)
    await watchIncidents(control)
    await watchIncidents(control)
    expect(await counted()).toEqual(['incident.deadline_near'])
    now = new Date(started.getTime() + 48 * HOUR)
    await Promise.all([watchIncidents(control), watchIncidents(control)])
    expect(await counted()).toEqual(['incident.deadline_near', 'incident.deadline_missed'])
    now = started
    expect((await actionsOf(untouched)).join()).not.toContain('incident')
  })

  test('are the business of operators', async () => {
    const { id } = await begin(['other'])
    expect((await call('GET', `/${id}`, undefined, touched.tokens.owner)).status).toBe(401)
    expect((await call('GET', `/${touched.id}`)).status).toBe(404)
    const future = {
      title: 'x',
      classes: ['other'],
      awareAt: new Date(now.getTime() + HOUR).toISOString(),
      evidence: 'x',
    }
    expect((await call('POST', '', future)).status).toBe(422)
  })
})
