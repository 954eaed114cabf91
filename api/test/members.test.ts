import { roles } from '@capstan/migrations'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { auditActions } from './build-fixture.js'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import { refusal } from './live-update-app.js'
import { type MemberCalls, memberCalls, type Row } from './member-calls.js'

let fixture: Fixture
let org: TestOrganization
let calls: MemberCalls

beforeAll(async () => {
  fixture = await createFixture()
})
beforeEach(async () => {
  org = await fixture.createOrganization()
  calls = await memberCalls(fixture, org)
})
afterAll(() => fixture[Symbol.asyncDispose]())

const give = (userId: string, role: string, token?: string) =>
  calls.call('PATCH', `/members/${userId}`, { role }, token)
const sees = async (token: string) => (await fixture.request('GET', calls.path, { token })).status

describe('members', () => {
  test('are listed with what they are, and found by role and name', async () => {
    const all = await calls.must<Row[]>('GET', '/members', undefined, org.tokens.viewer)
    expect(new Set(all.map(({ role }) => role))).toEqual(new Set(roles))
    expect(await calls.must<Row[]>('GET', '/members?role=admin')).toMatchObject([{ id: org.userIds.admin }])
    expect(await calls.must<Row[]>('GET', `/members?query=${org.userIds.viewer}`)).toMatchObject([
      { userId: org.userIds.viewer, user: { email: `${org.userIds.viewer}@example.test` } },
    ])
    const one = await calls.must('GET', `/members/${org.userIds.member}`)
    expect(one).toMatchObject({ id: org.userIds.member, organizationId: org.id, role: 'member', suspendedAt: null })
  })

  test('of another organization are not there, in the list and by id', async () => {
    const rival = await fixture.createOrganization('Rival')
    const theirs = rival.userIds.owner
    await refusal(await calls.call('GET', `/members/${theirs}`), 404, 'not-found')
    await refusal(await give(theirs, 'viewer'), 404, 'not-found')
    await refusal(await calls.call('DELETE', `/members/${theirs}`), 404, 'not-found')
    const token = (await memberCalls(fixture, rival)).owner
    await refusal(await calls.call('GET', '/members', undefined, token), 404, 'not-found')
  })

  test('change only with a fresh second factor, never through a token', async () => {
    const plain = (await fixture.signIn(org.userIds.owner)).token
    const old = new Date(Date.now() - 6 * 60_000)
    const stale = (await fixture.signIn(org.userIds.owner, { secondFactorAt: old })).token
    await refusal(await give(org.userIds.viewer, 'member', plain), 403, 'second-factor-missing')
    await refusal(await give(org.userIds.viewer, 'member', stale), 403, 'second-factor-stale')
    await refusal(await give(org.userIds.viewer, 'member', org.tokens.owner), 403, 'session-needed')
    expect((await give(org.userIds.viewer, 'member')).status).toBe(200)
  })
})

describe('a role', () => {
  test('counts from the next request on, and its change is in the log', async () => {
    const create = () => fixture.request('POST', '/v1/apps', { token: org.tokens.viewer, body: { name: 'A' } })
    await refusal(await create(), 403, 'permission-missing')
    expect(await (await give(org.userIds.viewer, 'admin')).json()).toMatchObject({ role: 'admin' })
    expect((await create()).status).toBe(201)
    await give(org.userIds.viewer, 'viewer')
    await refusal(await create(), 403, 'permission-missing')
    const actions = await auditActions(fixture, org.id)
    expect(actions.filter((action) => action === 'member.role_changed')).toHaveLength(2)
  })

  test('that includes more than one’s own is given to nobody and taken from nobody', async () => {
    const admin = await calls.fresh(org.userIds.admin)
    await refusal(await give(org.userIds.admin, 'owner', admin), 403, 'role-not-yours')
    await refusal(await give(org.userIds.viewer, 'owner', admin), 403, 'role-not-yours')
    await refusal(await give(org.userIds.owner, 'viewer', admin), 403, 'role-not-yours')
    await refusal(await calls.call('DELETE', `/members/${org.userIds.owner}`, undefined, admin), 403, 'role-not-yours')
    expect((await give(org.userIds.viewer, 'approver', admin)).status).toBe(200)
    expect((await give(org.userIds.viewer, 'none', admin)).status).toBe(200)
    for (const role of ['approver', 'billing', 'member', 'viewer', 'none'] as const) {
      const token = await calls.fresh(org.userIds[role])
      await refusal(await give(org.userIds.viewer, 'member', token), 403, 'permission-missing')
    }
  })

  test('none shows the organization’s content to nobody', async () => {
    expect(await sees(org.tokens.none)).toBe(403)
    const listed = await fixture.request('GET', `/v1/apps?organizationId=${org.id}`, { token: org.tokens.none })
    expect(listed.status).toBe(403)
  })

  test('that can approve is given with a consent that stands in the log', async () => {
    const consents = async () => {
      const path = `${calls.path}/audit-events?action=member.role_changed`
      const events = await (await fixture.request('GET', path, { token: org.tokens.owner })).json<{ event: string }[]>()
      return events.map(({ event }) => (JSON.parse(event) as { data: { approval?: unknown } }).data.approval)
    }
    await give(org.userIds.viewer, 'member')
    expect(await consents()).toEqual([undefined])
    await give(org.userIds.viewer, 'approver')
    expect((await consents())[0]).toMatchObject({ contentHash: expect.stringMatching(/^[0-9a-f]{64}$/) as string })
  })
})

describe('the last owner', () => {
  test('is neither demoted nor removed; with a second one both are possible', async () => {
    await refusal(await give(org.userIds.owner, 'admin'), 409, 'last-owner')
    await refusal(await calls.call('DELETE', `/members/${org.userIds.owner}`), 409, 'last-owner')
    expect((await give(org.userIds.admin, 'owner')).status).toBe(200)
    expect((await give(org.userIds.owner, 'viewer')).status).toBe(200)
    const successor = await calls.fresh(org.userIds.admin)
    await refusal(await give(org.userIds.admin, 'member', successor), 409, 'last-owner')
    expect((await calls.call('DELETE', `/members/${org.userIds.owner}`, undefined, successor)).status).toBe(204)
  })

  test('stays when two owners demote each other at once', async () => {
    await give(org.userIds.admin, 'owner')
    const other = await calls.fresh(org.userIds.admin)
    const answers = await Promise.all([give(org.userIds.admin, 'viewer'), give(org.userIds.owner, 'viewer', other)])
    // The second finds itself an owner no more, or itself the last one.
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
    const owners = await calls.must<Row[]>('GET', '/members?role=owner', undefined, org.tokens.admin)
    expect(owners).toHaveLength(1)
  })
})

describe('a demoted member', () => {
  test('keeps no service token that may do more than the new role', async () => {
    const admin = await calls.fresh(org.userIds.admin)
    const make = async (scopes: string[], token = admin) =>
      (await calls.must<{ token: string }>('POST', '/tokens', { name: 'ci', kind: 'service', scopes }, token)).token
    const tokens = [
      await make(['organizations:read', 'apps:write']),
      await make(['organizations:read']),
      await make(['organizations:read', 'apps:write'], calls.owner),
    ]
    expect(await Promise.all(tokens.map(sees))).toEqual([200, 200, 200])
    await give(org.userIds.admin, 'viewer')
    expect(await Promise.all(tokens.map(sees))).toEqual([401, 200, 200])
    await give(org.userIds.admin, 'none')
    expect(await Promise.all(tokens.map(sees))).toEqual([401, 401, 200])
  })
})

describe('a removed member', () => {
  test('has nothing here any more: sessions, tokens, also service tokens whose secret they saw', async () => {
    const { member } = org.userIds
    const admin = await calls.fresh(org.userIds.admin)
    const scopes = ['organizations:read']
    const make = (token: string) =>
      calls.must<{ id: string; token: string }>('POST', '/tokens', { name: 'ci', kind: 'service', scopes }, token)
    await give(member, 'admin')
    const [theirs, handedOver] = [await make(org.tokens.member), await make(org.tokens.member)]
    const rotated = await calls.must<{ token: string }>('POST', `/tokens/${handedOver.id}/rotations`, {}, admin)
    const session = (await fixture.signIn(member)).token
    const all = [org.tokens.member, session, theirs.token, handedOver.token, rotated.token]
    expect(await Promise.all(all.map(sees))).toEqual([200, 200, 200, 200, 200])
    expect((await calls.call('DELETE', `/members/${member}`)).status).toBe(204)
    expect(await Promise.all(all.map(sees))).toEqual([401, 404, 401, 401, 200])
    await refusal(await calls.call('DELETE', `/members/${member}`), 404, 'not-found')
    expect(await auditActions(fixture, org.id)).toContain('member.removed')
  })

  test('keeps no token that was made through one that they knew', async () => {
    const scopes = ['tokens:write', 'organizations:read']
    type Made = { id: string; token: string }
    const make = (token: string, more: object) =>
      calls.must<Made>('POST', '/tokens', { name: 'ci', kind: 'service', ...more }, token)
    const admin = await calls.fresh(org.userIds.admin)
    const handedOver = await make(calls.owner, { scopes })
    const rotated = await calls.must<Made>('POST', `/tokens/${handedOver.id}/rotations`, {}, admin)
    // It carries the owner's id, who never saw the secret that made it.
    const child = await make(rotated.token, {})
    const other = await make(calls.owner, { scopes: ['organizations:read'] })
    expect(await Promise.all([child.token, other.token].map(sees))).toEqual([200, 200])
    await calls.must('DELETE', `/members/${org.userIds.admin}`)
    expect(await Promise.all([child.token, other.token].map(sees))).toEqual([401, 200])
  })

  test('keeps what they have elsewhere', async () => {
    const rival = await memberCalls(fixture, await fixture.createOrganization('Rival'))
    const { userId, session } = await calls.join('member')
    const { secret } = await rival.must<{ secret: string }>('POST', '/invitations', { email: 'x@example.test' })
    await fixture.request('POST', '/v1/invitations/acceptances', { token: session, body: { secret } })
    await calls.must('DELETE', `/members/${userId}`)
    const listed = await fixture.request('GET', '/v1/organizations', { token: session })
    expect(await listed.json<unknown>()).toMatchObject([{ name: 'Rival' }])
  })
})
