import { randomUUID } from 'node:crypto'
import { memberships, userIdentities, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Federation, federation, type Provider } from './federated-fixture.js'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import { startTokenIssuer, type TokenIssuer } from './token-issuer.js'

let issuer: TokenIssuer
let fixture: Fixture
let calls: Federation
let org: TestOrganization
let owner: string

beforeAll(async () => {
  issuer = await startTokenIssuer()
  fixture = await createFixture({ overrides: { outboundPrivateHosts: [issuer.host] } })
  calls = federation(fixture, [issuer, issuer], () => ({ org, owner }))
})
beforeEach(async () => {
  org = await fixture.createOrganization()
  owner = (await fixture.signIn(org.userIds.owner, { secondFactorAt: new Date() })).token
})
afterAll(async () => {
  await fixture[Symbol.asyncDispose]()
  await issuer[Symbol.asyncDispose]()
})

const path = () => `/v1/organizations/${org.id}`
const endProvider = async ({ id }: Provider) => {
  const ended = await fixture.request('DELETE', `${path()}/identity-providers/${id}`, { token: owner })
  expect(ended.status).toBe(204)
}
const pageOf = (token: string) => `__Host-capstan=${token}`
/** A command line that this page has let in, and that has not fetched its session yet. */
async function confirmed(cookie: string): Promise<string> {
  const { id, code } = await (await fixture.request('POST', '/v1/sessions/codes')).json<{ id: string; code: string }>()
  const decided = await calls.form('/login/device/decision', { code, decision: 'approved' }, cookie)
  expect(decided.status).toBe(200)
  return id
}
const fetchSession = async (id: string) => {
  const answer = await fixture.request('POST', '/v1/sessions', { body: { provider: 'code', code: id } })
  return [answer.status, (await answer.json<{ code?: string }>()).code]
}

describe('a provider that is ended', () => {
  test('while a sign-in is under way lets nobody in, new or known; one that stays does', async () => {
    const provider = await calls.providerOf()
    await calls.signIn(provider, { sub: 'known' })
    const members = () => withOrg(fixture.deps.db, org.id, (tx) => tx.$count(memberships))
    const before = await members()
    for (const sub of ['known', 'new']) {
      const own = await calls.providerOf()
      const begun = await calls.begin(own)
      const idToken = await issuer.sign(calls.claims(begun, { sub }))
      const answer = await calls.finish(begun, idToken, { meanwhile: () => endProvider(own) })
      expect(await calls.refused(answer)).toContain('has ended this provider')
    }
    expect(await members()).toBe(before)
    await calls.signIn(provider, { sub: 'new' })
    expect(await members()).toBe(before + 1)
  })

  test('lets no command line in that waits for what it vouched for; before that it does', async () => {
    const provider = await calls.providerOf()
    const cookie = pageOf(await calls.signIn(provider))
    const [early, late] = [await confirmed(cookie), await confirmed(cookie)]
    expect((await fetchSession(early))[0]).toBe(201)
    const everywhere = pageOf((await fixture.signIn(org.userIds.viewer, { client: 'page' })).token)
    const other = await confirmed(everywhere)
    await endProvider(provider)
    expect(await fetchSession(late)).toEqual([403, 'sign-in-denied'])
    expect((await fetchSession(other))[0]).toBe(201)
  })
})

describe('a session that is ended', () => {
  test('finishes no link to a provider that was begun in it; a live one does', async () => {
    const provider = await calls.providerOf({ joinRole: null })
    const link = async (meanwhile: (id: string) => Promise<unknown>) => {
      const [sub, session] = [randomUUID(), await fixture.signIn(org.userIds.admin, { client: 'page' })]
      const begun = await calls.begin(provider, { intent: 'link' }, pageOf(session.token))
      const idToken = await issuer.sign(calls.claims(begun, { sub }))
      const answer = await calls.finish(begun, idToken, { meanwhile: () => meanwhile(session.token) })
      const rows = await withOrg(fixture.deps.db, org.id, (tx) =>
        tx.select().from(userIdentities).where(eq(userIdentities.subject, sub)),
      )
      return { answer, linked: rows.map(({ userId }) => userId) }
    }
    const kept = await link(() => Promise.resolve())
    expect([kept.answer.status, kept.linked]).toEqual([200, [org.userIds.admin]])
    const ended = await link(async (token) => {
      expect((await calls.form('/logout', {}, pageOf(token))).status).toBe(303)
    })
    expect(await calls.refused(ended.answer)).toContain('has ended')
    expect(ended.linked).toEqual([])
  })

  test('with all others lets no command line in that waits for one of them; a later one it does', async () => {
    const { admin } = org.userIds
    const cookie = pageOf((await fixture.signIn(admin, { client: 'page' })).token)
    const waiting = await confirmed(cookie)
    const { token } = await fixture.signIn(admin, { secondFactorAt: new Date() })
    const ended = await fixture.request('DELETE', '/v1/sessions', { token })
    expect(ended.status).toBe(200)
    expect(await fetchSession(waiting)).toEqual([403, 'sign-in-denied'])
    const later = await confirmed(pageOf((await fixture.signIn(admin, { client: 'page' })).token))
    expect((await fetchSession(later))[0]).toBe(201)
  })
})
