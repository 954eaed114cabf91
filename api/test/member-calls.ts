import { expect } from 'vitest'
import { newId, type Role, users, withUser } from '@capstan/migrations'
import type { Answer, Fixture, TestOrganization } from './fixture.js'

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
