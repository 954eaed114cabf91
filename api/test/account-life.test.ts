import {
  apiTokens,
  auditEvents,
  emailChanges,
  invitations,
  memberships,
  newId,
  openDatabase,
  trustPolicies,
  userPasswords,
  users,
  withOrg,
  withUser,
} from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { auditActions } from './build-fixture.js'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'

let fixture: Fixture
let org: TestOrganization

beforeAll(async () => {
  fixture = await createFixture()
})
beforeEach(async () => {
  org = await fixture.createOrganization()
})
afterAll(() => fixture[Symbol.asyncDispose]())

const fresh = async (userId: string) => (await fixture.signIn(userId, { secondFactorAt: new Date() })).token
const leave = (token: string, id = org.id) => fixture.request('DELETE', `/v1/users/me/memberships/${id}`, { token })
const remove = (token: string) => fixture.request('DELETE', '/v1/users/me', { token })
const codeOf = async (answer: Awaited<ReturnType<typeof leave>>) => [answer.status, (await answer.json()).code]
const statusWith = async (token: string) =>
  (await fixture.request('GET', `/v1/organizations/${org.id}`, { token })).status
const addOwner = (userId: string, orgId = org.id) =>
  withOrg(fixture.deps.db, orgId, (tx) =>
    tx
      .insert(memberships)
      .values({ orgId, userId, role: 'owner' })
      .onConflictDoUpdate({ target: [memberships.orgId, memberships.userId], set: { role: 'owner' } }),
  )
const addPolicy = (createdBy: string) =>
  withOrg(fixture.deps.db, org.id, (tx) =>
    tx.insert(trustPolicies).values({
      id: newId(),
      orgId: org.id,
      createdBy,
      name: 'x',
      issuer: 'https://issuer.example.test',
      audience: 'x',
      claims: { sub: ['x'] },
      scopes: ['apps:read'],
      tokenSeconds: 300,
    }),
  )

describe('leaving an organization', () => {
  test('ends what one has there, with the next request, and nothing elsewhere', async () => {
    const me = org.userIds.admin
    const elsewhere = await fixture.createOrganization('Elsewhere')
    await addOwner(me, elsewhere.id)
    await addPolicy(me)
    await addPolicy(org.userIds.owner)
    const session = await fresh(me)
    expect([await statusWith(session), await statusWith(org.tokens.admin)]).toEqual([200, 200])
    expect((await leave(session)).status).toBe(204)
    expect([await statusWith(session), await statusWith(org.tokens.admin)]).toEqual([404, 401])
    expect((await fixture.request('GET', '/v1/users/me', { token: session })).status).toBe(200)
    expect((await fixture.request('GET', `/v1/organizations/${elsewhere.id}`, { token: session })).status).toBe(200)
    const policies = await withOrg(fixture.deps.db, org.id, (tx) => tx.select().from(trustPolicies))
    expect(policies.map(({ createdBy }) => createdBy)).toEqual([org.userIds.owner])
    expect(await auditActions(fixture, org.id)).toContain('member.left')
    expect(await statusWith(org.tokens.owner)).toBe(200)
    expect(await codeOf(await leave(session))).toEqual([404, 'not-found'])
  })

  test('is refused to the last owner, whatever they own elsewhere; with another one it is possible', async () => {
    const me = org.userIds.owner
    const elsewhere = await fixture.createOrganization('Elsewhere')
    await addOwner(me, elsewhere.id)
    const session = await fresh(me)
    expect(await codeOf(await leave(session))).toEqual([409, 'last-owner'])
    expect(await statusWith(session)).toBe(200)
    await addOwner(org.userIds.admin)
    expect((await leave(session)).status).toBe(204)
  })

  test('of two owners who leave at once one stays', async () => {
    await addOwner(org.userIds.admin)
    const both = await Promise.all([fresh(org.userIds.owner), fresh(org.userIds.admin)])
    const answers = await Promise.all(both.map((token) => leave(token)))
    expect(answers.map(({ status }) => status).sort((a, b) => a - b)).toEqual([204, 409])
  })

  test('needs a person who was there a moment ago, and an organization of theirs', async () => {
    expect(await codeOf(await leave(org.tokens.viewer))).toEqual([403, 'session-needed'])
    const stale = await fixture.signIn(org.userIds.viewer, { client: 'cli' })
    expect((await codeOf(await leave(stale.token)))[1]).toBe('sign-in-stale')
    const rival = await fixture.createOrganization('Rival')
    for (const id of [rival.id, newId()]) {
      expect(await codeOf(await leave(await fresh(org.userIds.viewer), id))).toEqual([404, 'not-found'])
    }
  })
})

describe('deleting an account', () => {
  test('erases what is personal and ends sessions and tokens at once; the log keeps an id', async () => {
    const me = org.userIds.member
    const email = `${me}@example.test`
    await withUser(fixture.deps.db, me, (tx) => tx.insert(userPasswords).values({ userId: me, hash: 'x' }))
    await withOrg(fixture.deps.db, org.id, (tx) =>
      tx.insert(invitations).values({
        id: newId(),
        orgId: org.id,
        email: email.toUpperCase(),
        role: 'member',
        tokenHash: newId(),
        status: 'accepted',
        decidedAt: new Date(),
        acceptedBy: me,
        expiresAt: new Date(Date.now() + 60_000),
      }),
    )
    await withUser(fixture.deps.db, me, (tx) =>
      tx.insert(emailChanges).values({
        id: newId(),
        userId: me,
        email: `next.${email}`,
        tokenHash: newId(),
        expiresAt: new Date(Date.now() + 60_000),
      }),
    )
    const [session, other] = [await fresh(me), await fresh(me)]
    expect((await remove(session)).status).toBe(204)
    for (const token of [session, other, org.tokens.member]) {
      expect((await fixture.request('GET', '/v1/users/me', { token })).status).toBe(401)
    }
    await using database = openDatabase({ url: fixture.ownerUrl, poolSize: 1 })
    const tables = await database.sql<{ name: string }[]>`
      select distinct c.table_name as name from information_schema.columns c
      join information_schema.tables t using (table_schema, table_name)
      where table_schema = 'public' and table_type = 'BASE TABLE'`
    const found: string[] = []
    for (const { name } of tables) {
      const rows = await database.sql.unsafe(
        `select 1 from ${name} as r where lower(r::text) like '%${email}%' limit 1`,
      )
      if (rows.length > 0) found.push(name)
    }
    expect(found).toEqual([])
    expect(await database.db.$count(users, eq(users.id, me))).toBe(0)
    expect(await database.db.$count(apiTokens, eq(apiTokens.userId, me))).toBe(0)
    const left = and(eq(auditEvents.orgId, org.id), eq(auditEvents.action, 'member.left'))
    const [event] = await database.db.select().from(auditEvents).where(left)
    expect(event?.event).toContain(me)
    // The address is free again, for somebody who is nobody's successor.
    const again = newId()
    await withUser(fixture.deps.db, again, (tx) => tx.insert(users).values({ id: again, email }))
    expect(await codeOf(await leave(await fresh(again)))).toEqual([404, 'not-found'])
  })

  test('tells the sole owner of organizations what to do first, and changes nothing then', async () => {
    const me = org.userIds.owner
    const [mine, shared] = [await fixture.createOrganization('Mine'), await fixture.createOrganization('Shared')]
    await addOwner(me, shared.id)
    await withOrg(fixture.deps.db, mine.id, (tx) => tx.delete(memberships))
    await addOwner(me, mine.id)
    const session = await fresh(me)
    const refused = await remove(session)
    expect(refused.status).toBe(409)
    const { code, detail } = await refused.json<{ code: string; detail: string }>()
    expect(code).toBe('sole-owner')
    expect([org.id, mine.id, shared.id].map((id) => detail.includes(id))).toEqual([true, true, false])
    for (const id of [org.id, mine.id, shared.id]) {
      expect((await fixture.request('GET', `/v1/organizations/${id}`, { token: session })).status).toBe(200)
    }
    expect(await auditActions(fixture, shared.id)).not.toContain('member.left')
    await addOwner(org.userIds.admin)
    await addOwner(org.userIds.admin, mine.id)
    expect((await remove(session)).status).toBe(204)
  })

  test('needs a person who was there a moment ago', async () => {
    expect(await codeOf(await remove(org.tokens.viewer))).toEqual([403, 'session-needed'])
    const stale = await fixture.signIn(org.userIds.viewer, { client: 'cli' })
    expect((await codeOf(await remove(stale.token)))[1]).toBe('sign-in-stale')
    expect(await statusWith(org.tokens.viewer)).toBe(200)
    expect((await remove((await fixture.signIn(org.userIds.viewer)).token)).status).toBe(204)
  })
})
