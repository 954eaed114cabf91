import { gitConnections, memberships, newId, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { auditActions, queueBuild } from './build-fixture.js'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import { createLiveUpdateApp, type LiveUpdateApp, refusal, zipOf } from './live-update-app.js'
import { type MemberCalls, memberCalls, type Row } from './member-calls.js'

let fixture: Fixture
let org: TestOrganization
let calls: MemberCalls
let [a, b] = [] as unknown as [LiveUpdateApp, LiveUpdateApp]

beforeAll(async () => {
  fixture = await createFixture()
})
beforeEach(async () => {
  org = await fixture.createOrganization()
  calls = await memberCalls(fixture, org)
  a = await createLiveUpdateApp(fixture, org, 'A')
  b = await createLiveUpdateApp(fixture, org, 'B')
})
afterAll(() => fixture[Symbol.asyncDispose]())

const none = () => org.userIds.none
const grant = (body: object) => calls.must('POST', '/grants', body)
const status = async (method: string, path: string, body?: object, token = org.tokens.none) =>
  (await fixture.request(method, path, { token, ...(body ? { body } : {}) })).status
const newChannel = (app: LiveUpdateApp, name: string) => app.must('POST', '/channels', { name })
const namesOf = async (path: string, token = org.tokens.none) =>
  (await (await fixture.request('GET', path, { token })).json<{ name: string }[]>()).map(({ name }) => name).sort()

describe('a role in one app', () => {
  test('shows that app and no other, in every list and by id', async () => {
    expect(await status('GET', a.path)).toBe(404)
    await grant({ userId: none(), role: 'viewer', appId: a.appId })
    expect([await status('GET', a.path), await status('GET', b.path)]).toEqual([200, 404])
    expect(await namesOf(`/v1/apps?organizationId=${org.id}`)).toEqual(['A'])
    for (const rest of ['/channels', '/deployments', '/environments', '/builds', '/certificates', '/devices']) {
      expect([rest, await status('GET', a.path + rest), await status('GET', b.path + rest)]).toEqual([rest, 200, 404])
    }
    expect(await status('POST', `${a.path}/channels`, { name: 'x' })).toBe(403)
    expect(await status('POST', `${b.path}/channels`, { name: 'x' })).toBe(404)
    expect(await status('GET', calls.path)).toBe(403)
    const unknown = await fixture.request('GET', '/v1/apps/018f0000-0000-7000-8000-000000000000', {
      token: org.tokens.none,
    })
    const hidden = await fixture.request('GET', b.path, { token: org.tokens.none })
    const bodies = [await unknown.json(), await hidden.json()].map((body) => ({ ...body, requestId: '' }))
    expect(bodies[0]).toEqual(bodies[1])
  })

  test('of jobs and builds shows those of the app', async () => {
    const [ofA, ofB] = await Promise.all(
      [a, b].map(({ appId }) => queueBuild(fixture, { id: appId, org, token: org.tokens.member })),
    )
    await grant({ userId: none(), role: 'member', appId: a.appId })
    const listed = await fixture.request('GET', `/v1/jobs?organizationId=${org.id}`, { token: org.tokens.none })
    expect((await listed.json<Row[]>()).map(({ id }) => id)).toEqual([ofA!.jobId])
    expect(await status('GET', `/v1/jobs/${ofA!.jobId}`)).toBe(200)
    expect(await status('GET', `/v1/jobs/${ofB!.jobId}/logs`)).toBe(404)
    expect(await status('PATCH', `/v1/jobs/${ofB!.jobId}`, { status: 'canceled' })).toBe(404)
    expect(await status('PATCH', `/v1/jobs/${ofA!.jobId}`, { status: 'canceled' })).toBe(200)
  })

  test('adds to the role in the organization, as far as it reaches', async () => {
    const { viewer } = org.userIds
    await grant({ userId: viewer, role: 'member', appId: a.appId })
    const create = (app: LiveUpdateApp) => status('POST', `${app.path}/channels`, { name: 'x' }, org.tokens.viewer)
    expect([await create(a), await create(b)]).toEqual([201, 403])
    await grant({ userId: viewer, role: 'admin', appId: b.appId })
    expect(await status('PATCH', b.path, { name: 'B2' }, org.tokens.viewer)).toBe(200)
    expect(await status('PATCH', a.path, { name: 'A2' }, org.tokens.viewer)).toBe(403)
    expect(await status('POST', '/v1/apps', { name: 'C' }, org.tokens.viewer)).toBe(403)
    expect(await status('GET', `${calls.path}/tokens`, undefined, org.tokens.viewer)).toBe(403)
  })

  test('does not reach to the git connections of the organization', async () => {
    await grant({ userId: none(), role: 'admin', appId: a.appId })
    const gitConnectionId = newId()
    const connection = { name: 'Ours', nameLower: 'ours', provider: 'github', host: 'github.com' }
    await withOrg(fixture.deps.db, org.id, (tx) =>
      tx.insert(gitConnections).values({ id: gitConnectionId, orgId: org.id, ...connection, authKind: 'none' }),
    )
    const body = { gitConnectionId, path: 'acme/other-app' }
    const link = (sent: object, token: string) => status('PUT', `${a.path}/repository`, sent, token)
    expect(await link(body, org.tokens.none)).toBe(403)
    await grant({ userId: org.userIds.viewer, role: 'admin', appId: a.appId })
    expect(await link(body, org.tokens.viewer)).toBe(403)
    expect(await link({ url: 'https://code.example.com/x.git' }, org.tokens.none)).toBe(200)
    expect(await link(body, org.tokens.admin)).toBe(200)
  })

  test('ends with the next request when it is taken back, and is given once for a place', async () => {
    const given = await grant({ userId: none(), role: 'viewer', appId: a.appId })
    const changed = await grant({ userId: none(), role: 'member', appId: a.appId })
    expect([changed.id, changed.role]).toEqual([given.id, 'member'])
    expect(await status('POST', `${a.path}/channels`, { name: 'x' })).toBe(201)
    expect((await calls.must<Row[]>('GET', '/grants')).map(({ id }) => id)).toEqual([given.id])
    expect((await calls.call('DELETE', `/grants/${given.id}`)).status).toBe(204)
    expect(await status('GET', a.path)).toBe(404)
    await refusal(await calls.call('DELETE', `/grants/${given.id}`), 404, 'not-found')
    const actions = await auditActions(fixture, org.id)
    expect(actions).toEqual(expect.arrayContaining(['grant.created', 'grant.changed', 'grant.deleted']))
  })

  test('is not more than the token was given', async () => {
    await calls.must('PATCH', `/members/${org.userIds.viewer}`, { role: 'admin' })
    const body = { name: 'reader', scopes: ['channels:read'] }
    const { token } = await calls.must<{ token: string }>('POST', '/tokens', body, org.tokens.viewer)
    await calls.must('PATCH', `/members/${org.userIds.viewer}`, { role: 'none' })
    await grant({ userId: org.userIds.viewer, role: 'member', appId: a.appId })
    expect(await status('GET', `${a.path}/channels`, undefined, token)).toBe(200)
    expect(await status('POST', `${a.path}/channels`, { name: 'x' }, token)).toBe(403)
    expect(await status('GET', `${b.path}/channels`, undefined, token)).toBe(404)
  })
})

describe('a role on one channel', () => {
  test('shows and steers that channel, and hides the others', async () => {
    const [beta, production] = [await newChannel(a, 'beta'), await newChannel(a, 'production')]
    await grant({ userId: none(), role: 'member', appId: a.appId, appChannelId: beta.id })
    expect([await status('GET', a.path), await status('GET', b.path)]).toEqual([200, 404])
    expect(await namesOf(`${a.path}/channels`)).toEqual(['beta'])
    const channels = (id: string, rest = '') => `${a.path}/channels/${id}${rest}`
    expect([await status('GET', channels(beta.id)), await status('GET', channels(production.id))]).toEqual([200, 404])
    expect(await status('POST', channels(beta.id, '/pause'))).toBe(200)
    expect(await status('POST', channels(production.id, '/pause'))).toBe(404)
    expect(await status('PATCH', channels(production.id), { name: 'mine' })).toBe(404)
    expect(await status('DELETE', `${a.path}/channels?name=production`)).toBe(404)
    expect(await status('POST', `${a.path}/channels`, { name: 'x' })).toBe(403)
    for (const rest of ['/devices', '/environments', '/builds', '/certificates']) {
      expect([rest, await status('GET', a.path + rest)]).toEqual([rest, 403])
    }
    expect(await status('DELETE', `${a.path}/channels?name=beta`)).toBe(204)
    expect(await namesOf(`${a.path}/channels`, org.tokens.viewer)).toEqual(['production'])
  })

  test('deploys to it and nowhere else, and sees its deployments alone', async () => {
    const [beta, production] = [await newChannel(a, 'beta'), await newChannel(a, 'production')]
    await grant({ userId: org.userIds.viewer, role: 'member', appId: a.appId, appChannelId: beta.id })
    await grant({ userId: none(), role: 'member', appId: a.appId, appChannelId: beta.id })
    const { bundle } = await a.publishZip(zipOf({ 'index.html': 'hello' }))
    const appBuildId = bundle.appBuildId
    const deploy = (channel: Row, token: string) =>
      fixture.request('POST', `${a.path}/deployments`, { token, body: { appBuildId, appChannelId: channel.id } })
    const elsewhere = await a.must('POST', '/deployments', { appBuildId, appChannelId: production.id })
    for (const token of [org.tokens.viewer, org.tokens.none]) {
      const made = await deploy(beta, token)
      expect(made.status).toBe(201)
      const { id } = await made.json<Row>()
      expect(await status('PATCH', `${a.path}/deployments/${id}`, { rolloutPercentage: 0.5 }, token)).toBe(200)
      expect(await status('GET', `${a.path}/deployments/${id}/launches`, undefined, token)).toBe(200)
    }
    // Whoever reads the app sees the channel, and may still not deploy to it.
    expect((await deploy(production, org.tokens.viewer)).status).toBe(403)
    expect((await deploy(production, org.tokens.none)).status).toBe(404)
    const other = `${a.path}/deployments/${elsewhere.id}`
    expect([await status('GET', other), await status('GET', other, undefined, org.tokens.viewer)]).toEqual([404, 200])
    expect(await status('PATCH', other, { rolloutPercentage: 0 })).toBe(404)
    expect(await status('PATCH', other, { rolloutPercentage: 0 }, org.tokens.viewer)).toBe(403)
    const listed = await fixture.request('GET', `${a.path}/deployments`, { token: org.tokens.none })
    const channels = (await listed.json<{ appChannelId: string }[]>()).map(({ appChannelId }) => appChannelId)
    expect(channels).toEqual([beta.id, beta.id])
  })

  test('makes and steers rollouts on it alone', async () => {
    const [beta, production] = [await newChannel(a, 'beta'), await newChannel(a, 'production')]
    await grant({ userId: none(), role: 'member', appId: a.appId, appChannelId: beta.id })
    const { bundle } = await a.publishZip(zipOf({ 'index.html': 'hello' }))
    const startsAt = new Date(Date.now() + 3_600_000).toISOString()
    const plan = (channel: Row, token: string) => {
      const body = { appBuildId: bundle.appBuildId, appChannelId: channel.id, startsAt }
      return fixture.request('POST', `${a.path}/rollouts`, { token, body })
    }
    const made = await plan(beta, org.tokens.none)
    expect(made.status).toBe(201)
    const { id } = await made.json<Row>()
    expect((await plan(production, org.tokens.none)).status).toBe(404)
    const hidden = await (await plan(production, org.tokens.member)).json<Row>()
    expect(await status('POST', `${a.path}/rollouts/${id}/pause`)).toBe(200)
    expect(await status('POST', `${a.path}/rollouts/${hidden.id}/abort`)).toBe(404)
    expect(await status('GET', `${a.path}/rollouts/${hidden.id}`)).toBe(404)
    const listed = await fixture.request('GET', `${a.path}/rollouts`, { token: org.tokens.none })
    expect((await listed.json<Row[]>()).map((row) => row.id)).toEqual([id])
  })
})

describe('a team', () => {
  test('gives its members what it has, in an app or in the whole organization', async () => {
    const team = await calls.must('POST', '/teams', { name: 'Mobile' })
    await calls.must('POST', `/teams/${team.id}/members`, { userId: none() })
    expect(await status('GET', a.path)).toBe(404)
    await calls.must('POST', `/teams/${team.id}/apps`, { appId: a.appId })
    expect(await status('POST', `${a.path}/channels`, { name: 'x' })).toBe(201)
    expect(await status('GET', b.path)).toBe(404)
    await grant({ teamId: team.id, role: 'viewer' })
    expect([await status('GET', b.path), await status('GET', calls.path)]).toEqual([200, 200])
    expect(await status('POST', `${b.path}/channels`, { name: 'x' })).toBe(403)

    const shown = await calls.must('GET', `/teams/${team.id}?relations=apps,members`)
    expect(shown).toMatchObject({ apps: [{ appId: a.appId, role: 'member' }], members: [{ userId: none() }] })
    expect(await calls.must<Row[]>('GET', '/teams', undefined, org.tokens.viewer)).toEqual([team])

    expect((await calls.call('DELETE', `/teams/${team.id}/members/${none()}`)).status).toBe(204)
    expect([await status('GET', a.path), await status('GET', calls.path)]).toEqual([404, 403])
  })

  test('takes what it gave along when it loses an app, or ends', async () => {
    const team = await calls.must('POST', '/teams', { name: 'Mobile' })
    await calls.must('POST', `/teams/${team.id}/members`, { userId: none() })
    for (const { appId } of [a, b]) await calls.must('POST', `/teams/${team.id}/apps`, { appId, role: 'viewer' })
    expect([await status('GET', a.path), await status('GET', b.path)]).toEqual([200, 200])
    expect((await calls.call('DELETE', `/teams/${team.id}/apps/${a.appId}`)).status).toBe(204)
    expect([await status('GET', a.path), await status('GET', b.path)]).toEqual([404, 200])
    await refusal(await calls.call('DELETE', `/teams/${team.id}/apps/${a.appId}`), 404, 'not-found')
    expect((await calls.call('DELETE', `/teams/${team.id}`)).status).toBe(204)
    expect(await status('GET', b.path)).toBe(404)
    expect(await calls.must<Row[]>('GET', '/grants')).toEqual([])
    expect((await calls.call('GET', `/members/${none()}`)).status).toBe(200)
  })

  test('has a name of its own, and is changed by who may change members', async () => {
    const team = await calls.must('POST', '/teams', { name: 'Mobile' })
    const other = await calls.must('POST', '/teams', { name: 'Web' })
    await refusal(await calls.call('POST', '/teams', { name: 'Mobile' }), 409, 'team-name-taken')
    await refusal(await calls.call('PATCH', `/teams/${other.id}`, { name: 'Mobile' }), 409, 'team-name-taken')
    expect(await calls.must('PATCH', `/teams/${team.id}`, { name: 'Phones' })).toMatchObject({ name: 'Phones' })
    const member = await calls.fresh(org.userIds.member)
    await refusal(await calls.call('POST', '/teams', { name: 'x' }, member), 403, 'permission-missing')
    await refusal(await calls.call('DELETE', `/teams/${team.id}`, undefined, member), 403, 'permission-missing')
    await refusal(await calls.call('POST', '/teams', { name: 'x' }, org.tokens.owner), 403, 'session-needed')
    const actions = await auditActions(fixture, org.id)
    expect(actions).toEqual(expect.arrayContaining(['team.created', 'team.renamed']))
  })

  test('and its parts are of one organization', async () => {
    const rival = await fixture.createOrganization('Rival')
    const foreign = await createLiveUpdateApp(fixture, rival)
    const team = await calls.must('POST', '/teams', { name: 'Mobile' })
    const tries = [
      await calls.call('POST', `/teams/${team.id}/members`, { userId: rival.userIds.viewer }),
      await calls.call('POST', `/teams/${team.id}/apps`, { appId: foreign.appId }),
      await calls.call('POST', '/grants', { userId: rival.userIds.viewer, role: 'viewer', appId: a.appId }),
      await calls.call('POST', '/grants', { userId: none(), role: 'viewer', appId: foreign.appId }),
      await (await memberCalls(fixture, rival)).call('GET', `/teams/${team.id}`),
      await (await memberCalls(fixture, rival)).call('POST', `/teams/${team.id}/apps`, { appId: foreign.appId }),
    ]
    for (const answer of tries) await refusal(answer, 404, 'not-found')
  })
})

describe('the list of organizations', () => {
  type Listed = { id: string; twoFactorRequired?: boolean }
  const listed = async (userId: string) => {
    const { token } = await fixture.signIn(userId)
    const answer = await fixture.request('GET', '/v1/organizations', { token })
    return (await answer.json<Listed[]>()).find(({ id }) => id === org.id)
  }

  test('shows who has a role what it demands, who has a grant in an app its name, and who has neither nothing', async () => {
    const { none, viewer } = org.userIds
    expect(await listed(viewer)).toMatchObject({ name: expect.any(String) as string, twoFactorRequired: false })
    expect(await listed(none)).toBeUndefined()
    const grant = await calls.must('POST', '/grants', { userId: none, role: 'viewer', appId: a.appId })
    const some = await listed(none)
    expect(some).toMatchObject({ id: org.id, name: expect.any(String) as string })
    for (const key of [
      'twoFactorRequired',
      'stepUpRequired',
      'ipAllowlist',
      'countryAllowlist',
      'artifactRetentionDays',
    ]) {
      expect(some).not.toHaveProperty(key)
    }
    await calls.must('DELETE', `/grants/${grant.id}`)
    expect(await listed(none)).toBeUndefined()
    const team = await calls.must('POST', '/teams', { name: 'Everywhere' })
    await calls.must('POST', `/teams/${team.id}/members`, { userId: none })
    await calls.must('POST', '/grants', { teamId: team.id, role: 'viewer' })
    expect(await listed(none)).toMatchObject({ twoFactorRequired: false })
  })

  test('shows nothing of it to who is suspended, and all again with the role back', async () => {
    const { viewer } = org.userIds
    const suspend = (suspendedAt: Date | null) =>
      withOrg(fixture.deps.db, org.id, (tx) =>
        tx.update(memberships).set({ suspendedAt }).where(eq(memberships.userId, viewer)),
      )
    await suspend(new Date())
    expect(await listed(viewer)).toBeUndefined()
    await suspend(null)
    expect(await listed(viewer)).toMatchObject({ twoFactorRequired: false })
  })
})

describe('a grant that makes no sense', () => {
  test('is refused with the reason', async () => {
    const channel = await newChannel(a, 'beta')
    const ofB = await newChannel(b, 'beta')
    const team = await calls.must('POST', '/teams', { name: 'Mobile' })
    const [userId, teamId, appId] = [none(), team.id, a.appId]
    const bad: object[] = [
      { role: 'viewer', appId },
      { userId, teamId, role: 'viewer', appId },
      { userId, role: 'viewer' },
      { teamId, role: 'admin' },
      { teamId, role: 'viewer', appChannelId: channel.id },
      { userId, role: 'admin', appId, appChannelId: channel.id },
    ]
    for (const body of bad) await refusal(await calls.call('POST', '/grants', body), 422, 'grant-invalid')
    await refusal(await calls.call('POST', '/grants', { userId, role: 'owner', appId }), 422, 'request-invalid')
    const mixed = { userId, role: 'viewer', appId, appChannelId: ofB.id }
    await refusal(await calls.call('POST', '/grants', mixed), 404, 'not-found')
    expect((await calls.call('POST', '/grants', { ...mixed, appId: b.appId })).status).toBe(201)
  })
})
