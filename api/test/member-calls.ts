import { afterAll, beforeAll, beforeEach, expect } from 'vitest'
import { newId, type Role, users, withUser } from '@capstan/migrations'
import { type Answer, createFixture, type Fixture, type TestOrganization } from './fixture.js'

export type Row = Record<string, unknown> & { id: string }

/** Calls below one organization as a person with a fresh second factor, who is an owner unless a role is named. */
export async function memberCalls(fixture: Fixture, org: TestOrganization) {
  const path = `/v1/organizations/${org.id}`
  const fresh = async (userId: string) => (await fixture.signIn(userId, { secondFactorAt: fixture.deps.now() })).token
  const owner = await fresh(org.userIds.owner)
  const call = (method: string, rest: string, body?: unknown, token = owner): Promise<Answer> =>
    fixture.request(method, `${path}${rest}`, { token, body })
  const must = async <T = Row>(method: string, rest: string, body?: unknown, token = owner): Promise<T> => {
    const answer = await call(method, rest, body, token)
    const text = await answer.text()
    expect(answer.status, text).toBeLessThan(300)
    return (text === '' ? null : JSON.parse(text)) as T
  }
  /** A person with an account who belongs to nothing yet; gives id, address and session. */
  const person = async () => {
    const userId = newId()
    const email = `${userId}@example.test`
    await withUser(fixture.deps.db, userId, (tx) => tx.insert(users).values({ id: userId, email }))
    return { userId, email, session: (await fixture.signIn(userId)).token }
  }
  /** Such a person who joined with this role. */
  const join = async (role: Exclude<Role, 'owner'>) => {
    const somebody = await person()
    const { secret } = await must<{ secret: string }>('POST', '/invitations', { email: somebody.email, role })
    const joined = await fixture.request('POST', '/v1/invitations/acceptances', {
      token: somebody.session,
      body: { secret },
    })
    expect(joined.status).toBe(201)
    return somebody
  }
  return { path, fresh, owner, call, must, person, join }
}

export type MemberCalls = Awaited<ReturnType<typeof memberCalls>>

export type MemberStage = { now: number; fixture: Fixture; org: TestOrganization; calls: MemberCalls }

/** For a test file: an API whose clock tests move, and an organization of its own for each test. */
export function memberStage(): MemberStage {
  const stage = { now: Date.now() } as MemberStage
  beforeAll(async () => {
    stage.fixture = await createFixture({ overrides: { now: () => new Date(stage.now) } })
  })
  beforeEach(async () => {
    stage.now = Date.now()
    stage.org = await stage.fixture.createOrganization()
    stage.calls = await memberCalls(stage.fixture, stage.org)
  })
  afterAll(() => stage.fixture[Symbol.asyncDispose]())
  return stage
}
