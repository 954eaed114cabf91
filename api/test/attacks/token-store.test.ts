import { apiTokens, openDatabase, withOrg } from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createApp } from '../../src/app.js'
import { createToken, hashToken } from '../../src/auth/tokens.js'
import { createFixture, type Fixture, type TestOrganization } from '../fixture.js'

let fixture: Fixture
let org: TestOrganization

beforeAll(async () => {
  fixture = await createFixture()
  org = await fixture.createOrganization()
})
afterAll(() => fixture[Symbol.asyncDispose]())

const me = (token: string) => fixture.request('GET', '/v1/users/me', { token })

async function issue(): Promise<{ id: string; token: string }> {
  const path = `/v1/organizations/${org.id}/tokens`
  const answer = await fixture.request('POST', path, { token: org.tokens.admin, body: { name: 'ci' } })
  return answer.json()
}

test('a token is nowhere in the database, and its hash is not a token', async () => {
  const { token } = await issue()
  await using owner = openDatabase({ url: fixture.ownerUrl, poolSize: 1 })
  const tables = await owner.sql<
    { name: string }[]
  >`select tablename as name from pg_tables where schemaname = 'public'`
  let dump = ''
  for (const { name } of tables) {
    const [rows] = await owner.sql.unsafe<{ text: string | null }[]>(
      `select json_agg(t)::text as text from "${name}" t`,
    )
    dump += rows?.text ?? ''
  }
  const hash = hashToken(fixture.deps.pepper, token)
  expect(dump).toContain(hash)
  expect(dump).not.toContain(token)
  expect(dump).not.toContain(token.slice(3, -6))
  expect((await me(token)).status).toBe(200)
  expect((await me(hash)).status).toBe(401)
})

test('a token with one other character is refused without asking the database', async () => {
  const { token } = await issue()
  const changed = token.slice(0, -1) + (token.endsWith('0') ? '1' : '0')
  const nobody = new Proxy(fixture.deps.db, {
    get() {
      throw new Error('the database was asked')
    },
  })
  const app = createApp({ ...fixture.deps, db: nobody })
  const answer = await app.request('/v1/users/me', { headers: { authorization: `Bearer ${changed}` } })
  expect(answer.status).toBe(401)
  const right = await app.request('/v1/users/me', { headers: { authorization: `Bearer ${token}` } })
  expect(right.status).toBe(500)
})

test('a token that expired, was revoked, is of another kind or of nobody is refused alike', async () => {
  const [expired, revoked] = [await issue(), await issue()]
  await withOrg(fixture.deps.db, org.id, (tx) =>
    tx
      .update(apiTokens)
      .set({ expiresAt: new Date(Date.now() - 1_000) })
      .where(and(eq(apiTokens.id, expired.id))),
  )
  const path = `/v1/organizations/${org.id}/tokens/${revoked.id}`
  expect((await fixture.request('DELETE', path, { token: org.tokens.admin })).status).toBe(204)
  const worker = await fixture.createWorker()
  const answers = await Promise.all(
    [expired.token, revoked.token, worker.token, createToken('ca'), createToken('cs'), createToken('cl')].map(me),
  )
  const bodies = await Promise.all(
    answers.map(async (answer) => {
      const { requestId: _, ...rest } = await answer.json()
      return JSON.stringify({ status: answer.status, ...rest })
    }),
  )
  expect(new Set(bodies).size).toBe(1)
  expect(bodies[0]).toContain('"status":401')
})

test('a token of a person who left the organization opens nothing of it', async () => {
  const { token } = await issue()
  await using owner = openDatabase({ url: fixture.ownerUrl, poolSize: 1 })
  await owner.sql`delete from memberships where user_id = ${org.userIds.admin}`
  const answer = await fixture.request('GET', `/v1/organizations/${org.id}`, { token })
  expect(answer.status).toBe(404)
  const list = await fixture.request('GET', '/v1/apps', { token })
  expect(list.status).toBe(404)
})

test('a role gets what its scopes name and no more', async () => {
  const create = (token: string) => fixture.request('POST', '/v1/apps', { token, body: { name: 'x' } })
  expect((await create(org.tokens.viewer)).status).toBe(403)
  expect((await create(org.tokens.member)).status).toBe(403)
  expect((await create(org.tokens.owner)).status).toBe(201)
})
