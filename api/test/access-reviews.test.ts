import { apiTokens, memberships, openDatabase, type OpenDatabase, withOrg } from '@capstan/migrations'
import { eq, sql } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { closeReviews } from '../src/control/close-reviews.js'
import type { ControlDeps } from '../src/control/control-deps.js'
import { auditActions } from './build-fixture.js'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import { createLiveUpdateApp, type LiveUpdateApp, refusal } from './live-update-app.js'
import { type MemberCalls, memberCalls, type Row } from './member-calls.js'

const DAY_MS = 24 * 3_600_000

let now = Date.now()
let fixture: Fixture
let control: OpenDatabase
let org: TestOrganization
let calls: MemberCalls
let app: LiveUpdateApp

beforeAll(async () => {
  fixture = await createFixture({ overrides: { now: () => new Date(now) } })
  control = openDatabase({ url: fixture.databaseUrl('control'), poolSize: 2 })
})
beforeEach(async () => {
  now = Date.now()
  org = await fixture.createOrganization()
  // Tests move the clock by days.
  const expiresAt = new Date(now + 30 * DAY_MS)
  await withOrg(fixture.deps.db, org.id, (tx) => tx.update(apiTokens).set({ expiresAt }))
  calls = await memberCalls(fixture, org)
  app = await createLiveUpdateApp(fixture, org)
})
afterAll(async () => {
  await control[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})

const begin = () => calls.must('POST', '/access-reviews', { dueAt: new Date(now + DAY_MS).toISOString() })
const itemsOf = (review: Row, more = '') =>
  calls.must<Row[]>('GET', `/access-reviews/${review.id}/items?limit=1000${more}`)
const decide = (review: Row, item: Row, decision: string, token?: string) =>
  calls.call('PATCH', `/access-reviews/${review.id}/items/${item.id}`, { decision }, token)
const find = (items: Row[], wanted: Record<string, unknown>): Row => {
  const found = items.find((item) => Object.entries(wanted).every(([key, value]) => item[key] === value))
  if (!found) throw new Error(`No item has ${JSON.stringify(wanted)}.`)
  return found
}
const end = async () => {
  now += DAY_MS + 1_000
  const { log } = fixture.deps
  await closeReviews({ db: control.db, log, now: () => new Date(now) } as ControlDeps)
  // A session does not last for a day.
  calls = await memberCalls(fixture, org)
}
const sees = async (role: keyof TestOrganization['tokens'], path = calls.path) =>
  (await fixture.request('GET', path, { token: org.tokens[role] })).status

describe('a review of access', () => {
  test('lists every role, grant and place in a team, with its last use', async () => {
    const team = await calls.must('POST', '/teams', { name: 'Mobile' })
    await calls.must('POST', `/teams/${team.id}/members`, { userId: org.userIds.none })
    await calls.must('POST', `/teams/${team.id}/apps`, { appId: app.appId, role: 'viewer' })
    await calls.must('POST', '/grants', { userId: org.userIds.billing, role: 'member', appId: app.appId })
    expect(await sees('none', app.path)).toBe(200)
    expect(await sees('viewer')).toBe(200)
    const review = await begin()
    const items = await itemsOf(review)
    const path = `/access-reviews/${review.id}/items?limit=1000`
    expect(await calls.must('GET', path, undefined, org.tokens.approver)).toEqual(items)
    await refusal(await calls.call('GET', path, undefined, org.tokens.viewer), 403, 'permission-missing')
    const kinds = items.map(({ kind }) => kind)
    expect(kinds.filter((kind) => kind === 'membership')).toHaveLength(6)
    expect(find(items, { kind: 'membership', role: 'viewer' })['lastUsedAt']).not.toBeNull()
    expect(find(items, { kind: 'membership', role: 'billing' })).toMatchObject({ lastUsedAt: null, decision: null })
    expect(find(items, { kind: 'grant', teamId: team.id })['lastUsedAt']).not.toBeNull()
    expect(find(items, { kind: 'grant', userId: org.userIds.billing })['lastUsedAt']).toBeNull()
    expect(find(items, { kind: 'team-member' })).toMatchObject({ teamId: team.id, userId: org.userIds.none })
  })

  test('is one at a time, has its deadline in the future, and is begun by who may change members', async () => {
    await begin()
    const dueAt = new Date(now + DAY_MS).toISOString()
    await refusal(await calls.call('POST', '/access-reviews', { dueAt }), 409, 'review-open')
    // An hour would let an administrator suspend the owners before anybody looks.
    for (const aheadMs of [-1, DAY_MS - 1, 367 * DAY_MS]) {
      const wrong = { dueAt: new Date(now + aheadMs).toISOString() }
      await refusal(await calls.call('POST', '/access-reviews', wrong), 422, 'request-invalid')
    }
    const approver = await calls.fresh(org.userIds.approver)
    await refusal(await calls.call('POST', '/access-reviews', { dueAt }, approver), 403, 'permission-missing')
    await end()
    expect((await begin()).id).toBeDefined()
  })

  test('of another organization is not there', async () => {
    const review = await begin()
    const rival = await memberCalls(fixture, await fixture.createOrganization('Rival'))
    await refusal(await rival.call('GET', `/access-reviews/${review.id}/items`), 404, 'not-found')
    const [item] = await itemsOf(review)
    const path = `/access-reviews/${review.id}/items/${item!.id}`
    await refusal(await rival.call('PATCH', path, { decision: 'attested' }), 404, 'not-found')
  })
})

describe('an item', () => {
  test('is attested, or taken back at once, and not decided twice', async () => {
    await calls.must('POST', '/grants', { userId: org.userIds.none, role: 'viewer', appId: app.appId })
    const review = await begin()
    const items = await itemsOf(review)
    const [viewer, member] = [find(items, { role: 'viewer', kind: 'membership' }), find(items, { role: 'member' })]
    const grant = find(items, { kind: 'grant' })
    expect(await (await decide(review, viewer, 'attested')).json()).toMatchObject({
      decision: 'attested',
      decidedBy: org.userIds.owner,
    })
    expect((await decide(review, member, 'revoked')).status).toBe(200)
    expect((await decide(review, grant, 'revoked')).status).toBe(200)
    expect([await sees('viewer'), await sees('member'), await sees('none', app.path)]).toEqual([200, 403, 404])
    await refusal(await decide(review, member, 'attested'), 409, 'review-closed')
    expect((await decide(review, viewer, 'revoked')).status).toBe(200)
    expect(await sees('viewer')).toBe(403)
    const undecided = await itemsOf(review, '&undecided=true')
    expect(undecided.map(({ decision }) => decision)).toEqual(undecided.map(() => null))
    expect(undecided).toHaveLength(items.length - 3)
    expect(await auditActions(fixture, org.id)).toEqual(
      expect.arrayContaining(['access_review.attested', 'access_review.revoked', 'grant.deleted']),
    )
  })

  test('is not decided by whom it is about, nor an owner’s role taken by an administrator', async () => {
    const review = await begin()
    const items = await itemsOf(review)
    const admin = await calls.fresh(org.userIds.admin)
    const [own, above] = [find(items, { role: 'admin' }), find(items, { role: 'owner' })]
    await refusal(await decide(review, own, 'attested', admin), 403, 'review-own')
    await refusal(await decide(review, above, 'revoked', admin), 403, 'role-not-yours')
    await refusal(await decide(review, above, 'attested'), 403, 'review-own')
    expect((await decide(review, above, 'attested', admin)).status).toBe(200)
    expect((await decide(review, own, 'attested')).status).toBe(200)
  })
})

describe('access that is not one’s own by name', () => {
  test('what a team has is not decided by who is in it; by somebody else it is', async () => {
    const [grants, joins] = [{ name: 'Mobile' }, { name: 'Web' }]
    const [ours, theirs] = [await calls.must('POST', '/teams', grants), await calls.must('POST', '/teams', joins)]
    for (const { id } of [ours, theirs]) await calls.must('POST', `/teams/${id}/apps`, { appId: app.appId })
    await calls.must('POST', `/teams/${ours.id}/members`, { userId: org.userIds.owner })
    const review = await begin()
    const items = await itemsOf(review)
    const grantOf = (team: Row) => find(items, { kind: 'grant', teamId: team.id })
    for (const decision of ['attested', 'revoked']) {
      await refusal(await decide(review, grantOf(ours), decision), 403, 'review-own')
    }
    const admin = await calls.fresh(org.userIds.admin)
    expect((await decide(review, grantOf(ours), 'attested', admin)).status).toBe(200)
    expect((await decide(review, grantOf(theirs), 'attested')).status).toBe(200)
  })

  test('a token is not decided by who made, rotated or handed on its secret; by somebody else it is', async () => {
    const scopes = ['organizations:read']
    const make = (body: object, token?: string) =>
      calls.must<Row & { token: string }>('POST', '/tokens', { name: 'ci', kind: 'service', ...body }, token)
    const admin = await calls.fresh(org.userIds.admin)
    const parent = await make({ scopes: [...scopes, 'tokens:write'] })
    const child = await make({ scopes }, parent.token)
    const rotated = await calls.must('POST', `/tokens/${(await make({ scopes }, admin)).id}/rotations`, {})
    const theirs = await make({ scopes }, admin)
    const review = await begin()
    const items = await itemsOf(review)
    for (const { id } of [parent, child, rotated]) {
      await refusal(await decide(review, find(items, { tokenId: id }), 'attested'), 403, 'review-own')
    }
    expect((await decide(review, find(items, { tokenId: theirs.id }), 'attested')).status).toBe(200)
    expect((await decide(review, find(items, { tokenId: child.id }), 'attested', admin)).status).toBe(200)
    await refusal(await decide(review, find(items, { tokenId: theirs.id }), 'attested', admin), 403, 'review-own')
  })
})

describe('an attestation', () => {
  test('of a role that is changed after it is worth nothing: the item is open again, as the new role', async () => {
    const grant = await calls.must('POST', '/grants', { userId: org.userIds.none, role: 'viewer', appId: app.appId })
    const review = await begin()
    const member = find(await itemsOf(review), { role: 'viewer', kind: 'membership' })
    const inApp = find(await itemsOf(review), { grantId: grant.id })
    for (const item of [member, inApp]) expect((await decide(review, item, 'attested')).status).toBe(200)
    const nowOf = async (item: Row) => find(await itemsOf(review), { id: item.id })
    await calls.must('PATCH', `/members/${org.userIds.viewer}`, { role: 'viewer' })
    await calls.must('POST', '/grants', { userId: org.userIds.none, role: 'viewer', appId: app.appId })
    for (const item of [member, inApp]) expect(await nowOf(item)).toMatchObject({ decision: 'attested' })
    await calls.must('PATCH', `/members/${org.userIds.viewer}`, { role: 'admin' })
    await calls.must('POST', '/grants', { userId: org.userIds.none, role: 'member', appId: app.appId })
    expect(await nowOf(member)).toMatchObject({ decision: null, decidedBy: null, role: 'admin' })
    expect(await nowOf(inApp)).toMatchObject({ decision: null, decidedBy: null, role: 'member' })
    const reopened = (await auditActions(fixture, org.id)).filter((action) => action === 'access_review.reopened')
    expect(reopened).toHaveLength(2)
    expect((await decide(review, member, 'attested')).status).toBe(200)
    await end()
    expect([await sees('viewer'), await sees('none', app.path)]).toEqual([200, 404])
  })

  test('that is taken back takes the role with it, and stays decided', async () => {
    const review = await begin()
    const item = find(await itemsOf(review), { role: 'viewer', kind: 'membership' })
    for (const decision of ['attested', 'revoked']) expect((await decide(review, item, decision)).status).toBe(200)
    expect(find(await itemsOf(review), { id: item.id })).toMatchObject({ decision: 'revoked', role: 'viewer' })
    expect(await auditActions(fixture, org.id)).not.toContain('access_review.reopened')
  })
})

describe('at the deadline', () => {
  test('what nobody attested is suspended as if it were not there, until it is given anew', async () => {
    const team = await calls.must('POST', '/teams', { name: 'Mobile' })
    await calls.must('POST', `/teams/${team.id}/members`, { userId: org.userIds.none })
    await calls.must('POST', `/teams/${team.id}/apps`, { appId: app.appId })
    await calls.must('POST', '/grants', { userId: org.userIds.billing, role: 'member', appId: app.appId })
    const scopes = ['organizations:read']
    const admin = await calls.fresh(org.userIds.admin)
    const service = () =>
      calls.must<Row & { token: string }>('POST', '/tokens', { name: 'ci', kind: 'service', scopes }, admin)
    const services = [await service(), await service()]
    const see = async ({ token }: { token: string }) => (await fixture.request('GET', calls.path, { token })).status
    const review = await begin()
    const items = await itemsOf(review)
    const attested = [{ role: 'viewer' }, { kind: 'grant', teamId: team.id }, { tokenId: services[0]!.id }]
    for (const wanted of attested) {
      expect((await decide(review, find(items, wanted), 'attested')).status).toBe(200)
    }
    const later = await calls.join('viewer')
    expect(await Promise.all(services.map(see))).toEqual([200, 200])
    const all = async () => [
      await sees('viewer'),
      await sees('member'),
      await sees('none', app.path),
      await sees('billing', app.path),
    ]
    expect(await all()).toEqual([200, 200, 200, 200])
    await end()
    expect(await all()).toEqual([200, 403, 404, 404])
    expect(await Promise.all(services.map(see))).toEqual([200, 401])
    // Whoever came after the review began was not in it.
    const { token: joined } = await fixture.signIn(later.userId)
    expect((await fixture.request('GET', calls.path, { token: joined })).status).toBe(200)
    const decisions = (await itemsOf(review)).map(({ decision }) => decision)
    expect(decisions.filter((decision) => decision === 'suspended')).toHaveLength(7)

    const member = await calls.must('GET', `/members/${org.userIds.member}`)
    expect(member).toMatchObject({ role: 'member', suspendedAt: expect.any(String) as string })
    await calls.must('PATCH', `/members/${org.userIds.member}`, { role: 'member' })
    await calls.must('POST', `/teams/${team.id}/members`, { userId: org.userIds.none })
    await calls.must('POST', '/grants', { userId: org.userIds.billing, role: 'member', appId: app.appId })
    expect(await all()).toEqual([200, 200, 200, 200])
  })

  test('one owner remains, the one whose role was used last; an attested one makes that needless', async () => {
    now += 2 * 3_600_000
    calls = await memberCalls(fixture, org)
    await calls.must('PATCH', `/members/${org.userIds.admin}`, { role: 'owner' })
    const owners = async () =>
      withOrg(fixture.deps.db, org.id, (tx) => tx.select().from(memberships).where(eq(memberships.role, 'owner')))
    const live = async () => (await owners()).filter((row) => !row.suspendedAt).map((row) => row.userId)
    const first = await begin()
    await end()
    expect(await live()).toEqual([org.userIds.owner])
    expect(find(await itemsOf(first), { userId: org.userIds.owner })).toMatchObject({ decision: 'kept' })

    await calls.must('PATCH', `/members/${org.userIds.admin}`, { role: 'owner' })
    const second = await begin()
    const other = find(await itemsOf(second), { userId: org.userIds.admin })
    expect((await decide(second, other, 'attested')).status).toBe(200)
    await end()
    expect(await live()).toEqual([org.userIds.admin])
  })

  test('a token that was rotated meanwhile is in the review: attested it stays, else it is revoked', async () => {
    const scopes = ['organizations:read']
    const admin = await calls.fresh(org.userIds.admin)
    const make = () => calls.must<Row & { token: string }>('POST', '/tokens', { name: 'ci', kind: 'service', scopes })
    const rotate = ({ id }: Row) =>
      calls.must<Row & { token: string }>('POST', `/tokens/${id}/rotations`, { overlapHours: 0 })
    const see = async ({ token }: { token: string }) => (await fixture.request('GET', calls.path, { token })).status
    const [first, second] = [await make(), await make()]
    const review = await begin()
    for (const { id } of [first, second]) {
      expect((await decide(review, find(await itemsOf(review), { tokenId: id }), 'attested', admin)).status).toBe(200)
    }
    const successors = [await rotate(first), await rotate(second)]
    expect(await Promise.all(successors.map(see))).toEqual([200, 200])
    const item = find(await itemsOf(review, '&undecided=true'), { tokenId: successors[0]!.id })
    // Whoever rotated knows the secret.
    await refusal(await decide(review, item, 'attested'), 403, 'review-own')
    expect((await decide(review, item, 'attested', admin)).status).toBe(200)
    await end()
    expect(await Promise.all(successors.map(see))).toEqual([200, 401])
    // No review is open: nothing to be added to.
    expect(await see(await rotate(successors[0]!))).toBe(200)
    expect(await itemsOf(review)).toHaveLength(10)
  })

  test('a token that is being rotated when the review begins is in it', async () => {
    const body = { name: 'ci', kind: 'service', scopes: ['organizations:read'] }
    const { id } = await calls.must('POST', '/tokens', body)
    const waiting = sql`select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
    const waits = (count: number) =>
      expect.poll(async () => (await fixture.deps.db.execute(waiting)).length).toBeGreaterThanOrEqual(count)
    const both = await withOrg(fixture.deps.db, org.id, async (tx) => {
      // The rotation has done all but its event; the review begins before that is there.
      await tx.execute(sql`select 1 from audit_heads where org_id = ${org.id} for update`)
      const rotation = calls.must('POST', `/tokens/${id}/rotations`, {})
      await waits(1)
      const review = begin()
      await waits(2)
      return [rotation, review] as const
    })
    const [successor, review] = await Promise.all(both)
    expect((await itemsOf(review)).map(({ tokenId }) => tokenId)).toContain(successor.id)
  })

  test('each suspension is in the log, the review is over, and a second pass changes nothing', async () => {
    const review = await begin()
    const items = await itemsOf(review)
    await end()
    await end()
    const actions = await auditActions(fixture, org.id)
    // Six roles, one of them kept.
    expect(actions.filter((action) => action === 'access_review.suspended')).toHaveLength(5)
    expect(actions.filter((action) => action === 'access_review.closed')).toHaveLength(1)
    await refusal(await decide(review, find(items, { role: 'viewer' }), 'attested'), 409, 'review-closed')
    expect(await calls.must<Row[]>('GET', '/access-reviews')).toMatchObject([
      { id: review.id, closedAt: expect.any(String) as string },
    ])
  })
})
