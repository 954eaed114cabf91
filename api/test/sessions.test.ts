import { sessions, userPasswords, users, withUser } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hashPassword } from '../src/auth/password.js'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'

const PASSWORD = 'correct horse battery staple'

let fixture: Fixture
let org: TestOrganization
let email: string

beforeAll(async () => {
  fixture = await createFixture()
  org = await fixture.createOrganization()
  const hash = await hashPassword(PASSWORD)
  email = await withUser(fixture.deps.db, org.userIds.owner, async (tx) => {
    await tx.insert(userPasswords).values({ userId: org.userIds.owner, hash })
    const [user] = await tx.select().from(users).where(eq(users.id, org.userIds.owner))
    return user?.email ?? ''
  })
})
afterAll(() => fixture[Symbol.asyncDispose]())

const signIn = (body: Record<string, string>) => fixture.request('POST', '/v1/sessions', { body })

describe('signing in', () => {
  test('with e-mail address and password gives a session that sees the organizations of that person', async () => {
    const answer = await signIn({ email: email.toUpperCase(), password: PASSWORD })
    expect(answer.status).toBe(201)
    const { id, token } = await answer.json<{ id: string; token: string }>()
    expect(token).toMatch(/^cs_/)
    const organizations = await fixture.request('GET', '/v1/organizations', { token })
    expect(await organizations.json<unknown>()).toMatchObject([{ id: org.id }])
    expect((await fixture.request('GET', '/v1/users/me', { token })).status).toBe(200)

    expect((await fixture.request('DELETE', `/v1/sessions/${id}`, { token })).status).toBe(204)
    expect((await fixture.request('GET', '/v1/users/me', { token })).status).toBe(401)
  })

  test('is refused alike for a wrong password and for an unknown address', async () => {
    const wrong = await signIn({ email, password: `${PASSWORD}!` })
    const unknown = await signIn({ email: 'nobody@example.test', password: PASSWORD })
    const [first, second] = [await wrong.json(), await unknown.json()]
    expect([wrong.status, unknown.status]).toEqual([400, 400])
    expect({ ...first, requestId: '' }).toEqual({ ...second, requestId: '' })
  })

  test('ends when the session expires', async () => {
    const { token } = await (await signIn({ email, password: PASSWORD })).json<{ token: string }>()
    await withUser(fixture.deps.db, org.userIds.owner, (tx) => tx.update(sessions).set({ expiresAt: new Date(0) }))
    expect((await fixture.request('GET', '/v1/users/me', { token })).status).toBe(401)
  })

  test('stores neither password nor token', async () => {
    const { token } = await (await signIn({ email, password: PASSWORD })).json<{ token: string }>()
    const stored = await withUser(fixture.deps.db, org.userIds.owner, async (tx) =>
      JSON.stringify([await tx.select().from(sessions), await tx.select().from(userPasswords)]),
    )
    expect(stored).not.toContain(token)
    expect(stored).not.toContain(PASSWORD)
    expect(stored).toContain('scrypt$17$8$1$')
  })
})

describe('a session', () => {
  test('creates organizations, which an API token cannot', async () => {
    const { token } = await (await signIn({ email, password: PASSWORD })).json<{ token: string }>()
    const created = await fixture.request('POST', '/v1/organizations', { token, body: { name: 'Second' } })
    expect(created.status).toBe(201)
    const { id } = await created.json<{ id: string }>()
    expect((await fixture.request('GET', `/v1/organizations/${id}`, { token })).status).toBe(200)
    const refused = await fixture.request('POST', '/v1/organizations', {
      token: org.tokens.owner,
      body: { name: 'Third' },
    })
    expect(refused.status).toBe(403)
  })

  test('must say which organization it means', async () => {
    const { token } = await (await signIn({ email, password: PASSWORD })).json<{ token: string }>()
    const vague = await fixture.request('GET', '/v1/apps', { token })
    expect(await vague.json()).toMatchObject({ code: 'organization-needed' })
    expect((await fixture.request('GET', `/v1/apps?organizationId=${org.id}`, { token })).status).toBe(200)
  })
})
