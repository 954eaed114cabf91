import { apiTokens, memberships, openDatabase, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { queueBuild } from './build-fixture.js'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import { createLiveUpdateApp } from './live-update-app.js'

const HOUR = 3_600_000

let fixture: Fixture
let org: TestOrganization
let now: Date
/** The owner's session, with a second factor of just now. */
let owner: string

beforeAll(async () => {
  fixture = await createFixture({ overrides: { now: () => now } })
})
beforeEach(async () => {
  now = new Date()
  org = await fixture.createOrganization()
  owner = (await fixture.signIn(org.userIds.owner, { secondFactorAt: now })).token
})
afterAll(() => fixture[Symbol.asyncDispose]())

type Token = { id: string; token: string; scopes: string[]; expiresAt: string; cidrs: string[] | null; userId: string }
const path = () => `/v1/organizations/${org.id}/tokens`
const create = (token: string, body: object = {}, address?: string) =>
  fixture.request('POST', path(), { token, body: { name: 'ci', ...body }, ...(address ? { address } : {}) })
const made = async (token: string, body: object = {}, address?: string): Promise<Token> => {
  const answer = await create(token, body, address)
  expect(answer.status).toBe(201)
  return answer.json<Token>()
}
const works = async (token: string, address?: string) =>
  (await fixture.request('GET', `/v1/organizations/${org.id}`, { token, ...(address ? { address } : {}) })).status
const rotate = (token: string, id: string, body: object = {}) =>
  fixture.request('POST', `${path()}/${id}/rotations`, { token, body })
const codeOf = async (answer: Awaited<ReturnType<typeof create>>) => [answer.status, (await answer.json()).code]
const later = (milliseconds: number) => (now = new Date(now.getTime() + milliseconds))

describe('scopes', () => {
  test('are the ones asked for, and no more than the creator has', async () => {
    const token = await made(owner, { scopes: ['apps:read', 'organizations:read'] })
    const apps = (method: string) =>
      fixture.request(method, '/v1/apps', { token: token.token, ...(method === 'POST' ? { body: { name: 'x' } } : {}) })
    expect((await apps('GET')).status).toBe(200)
    const builder = await made(owner, { scopes: ['builds:read'] })
    const list = (of: Token) => fixture.request('GET', '/v1/organizations', { token: of.token })
    expect([(await list(token)).status, await codeOf(await list(builder))]).toEqual([200, [403, 'permission-missing']])
    expect(await codeOf(await apps('POST'))).toEqual([403, 'permission-missing'])
    const admin = (await fixture.signIn(org.userIds.admin, { secondFactorAt: now })).token
    expect(await codeOf(await create(admin, { scopes: ['policies:write'] }))).toEqual([403, 'scope-not-yours'])
    expect(await codeOf(await create(admin, { scopes: ['world:rule'] }))).toEqual([422, 'scope-unknown'])
    expect(await codeOf(await create(org.tokens.viewer, { scopes: ['apps:read'] }))).toEqual([
      403,
      'permission-missing',
    ])
  })

  test('that are sensitive come only from a person with a fresh second factor', async () => {
    const body = { scopes: ['tokens:write', 'organizations:read'] }
    expect(await codeOf(await create(org.tokens.owner, body))).toEqual([403, 'session-needed'])
    const plain = (await fixture.signIn(org.userIds.owner)).token
    expect(await codeOf(await create(plain, body))).toEqual([403, 'second-factor-missing'])
    expect((await made(owner, body)).scopes.sort()).toEqual(['organizations:read', 'tokens:write'])
    const unasked = await made(org.tokens.owner)
    expect(unasked.scopes).toContain('credentials:write')
    for (const scope of ['tokens:write', 'members:write', 'policies:write']) expect(unasked.scopes).not.toContain(scope)
  })

  test('shrink with the role of the owner of a personal token, not of a service token', async () => {
    const admin = (await fixture.signIn(org.userIds.admin, { secondFactorAt: now })).token
    const scopes = ['organizations:read', 'apps:write', 'apps:read']
    const [personal, service] = [await made(admin, { scopes }), await made(admin, { scopes, kind: 'service' })]
    await using database = openDatabase({ url: fixture.ownerUrl, poolSize: 1 })
    await database.sql`update memberships set role = 'viewer' where user_id = ${org.userIds.admin}`
    const createApp = (token: string) => fixture.request('POST', '/v1/apps', { token, body: { name: 'x' } })
    expect([(await createApp(personal.token)).status, (await createApp(service.token)).status]).toEqual([403, 201])
    await database.db.delete(memberships)
    expect([await works(personal.token), await works(service.token)]).toEqual([404, 200])
  })
})

describe('networks', () => {
  test('bind a token, also to IPv6 and behind trusted proxies only as far as those are trusted', async () => {
    const { token, cidrs } = await made(owner, { cidrs: ['203.0.113.0/24', '2001:db8::/32', '198.51.100.7'] })
    expect(cidrs).toEqual(['203.0.113.0/24', '2001:db8::/32', '198.51.100.7/32'])
    for (const address of ['203.0.113.9', '2001:db8::1', '198.51.100.7', '::ffff:203.0.113.9']) {
      expect([address, await works(token, address)]).toEqual([address, 200])
    }
    for (const address of ['203.0.114.9', '2001:db9::1', '198.51.100.8']) {
      expect([address, await works(token, address)]).toEqual([address, 403])
    }
    const anywhere = (path: string, address: string) => fixture.request('GET', path, { token, address })
    for (const path of ['/v1/users/me', '/v1/organizations']) {
      expect((await anywhere(path, '203.0.113.9')).status).toBe(200)
      expect(await codeOf(await anywhere(path, '203.0.114.9'))).toEqual([403, 'address-not-allowed'])
    }
    const forged = await fixture.request('GET', `/v1/organizations/${org.id}`, {
      token,
      address: '192.0.2.1',
      headers: { 'x-forwarded-for': '203.0.113.9' },
    })
    expect(await codeOf(forged)).toEqual([403, 'address-not-allowed'])
  })

  test.each(['here', '10.0.0.0/33', '10.0.0.0/8/8', '10.0.0.0/', 'fe80::1%eth0', '010.0.0.1'])(
    '%s is none',
    async (cidr) => {
      expect(await codeOf(await create(owner, { cidrs: [cidr] }))).toEqual([422, 'network-invalid'])
    },
  )
})

test('a token made through a token neither outlives it nor works from elsewhere', async () => {
  const body = { scopes: ['tokens:write', 'organizations:read'], expiresInDays: 2, cidrs: ['203.0.113.0/24'] }
  const parent = await made(owner, body)
  // A session's maker may be sensitive, a token's is not: the child has less.
  const child = await made(parent.token, { expiresInDays: 300 }, '203.0.113.5')
  expect(child).toMatchObject({
    scopes: ['organizations:read'],
    expiresAt: parent.expiresAt,
    cidrs: ['203.0.113.0/24'],
  })
  expect(await codeOf(await create(parent.token, { cidrs: ['0.0.0.0/0'] }, '203.0.113.5'))).toEqual([
    403,
    'scope-not-yours',
  ])
})

describe('a token made through a token', () => {
  const scopes = ['tokens:write', 'organizations:read']
  const service = (token: string, body: object = {}) => made(token, { kind: 'service', ...body })
  const revoke = (id: string) => fixture.request('DELETE', `${path()}/${id}`, { token: owner })

  test('ends with it, and so does what was made through that one; one that a person made does not', async () => {
    const parent = await service(owner, { scopes })
    const child = await service(parent.token)
    const other = await service(owner, { scopes: ['organizations:read'] })
    const works3 = () => Promise.all([parent, child, other].map(({ token }) => works(token)))
    expect(await works3()).toEqual([200, 200, 200])
    expect((await revoke(parent.id)).status).toBe(204)
    expect(await works3()).toEqual([401, 401, 200])
    const events = await fixture.request('GET', `/v1/organizations/${org.id}/audit-events?action=token.revoked`, {
      token: org.tokens.owner,
    })
    type Event = { target: { token: string }; data?: object }
    const revoked = (await events.json<{ event: string }[]>()).map(({ event }) => JSON.parse(event) as Event)
    const ids = revoked.map(({ target }) => target.token)
    expect(new Set(ids)).toEqual(new Set([parent.id, child.id]))
    expect(revoked[ids.indexOf(child.id)]?.data).toEqual({ madeThrough: parent.id })
    expect((await revoke(child.id)).status).toBe(404)
  })

  test('at the moment in which that is revoked ends too, or is not made', async () => {
    for (let round = 0; round < 5; round += 1) {
      const parent = await service(owner, { scopes })
      const answers = await Promise.all([
        ...Array.from({ length: 4 }, () => create(parent.token, { kind: 'service' })),
        revoke(parent.id),
      ])
      expect(answers.pop()?.status).toBe(204)
      for (const answer of answers) {
        const { token } = await answer.json<{ token?: string }>()
        if (token !== undefined) expect(await works(token)).toBe(401)
      }
    }
  })

  test('who is behind a token is never written anew', async () => {
    const { id } = await service(owner, { scopes })
    await using api = openDatabase({ url: fixture.databaseUrl('api'), poolSize: 1 })
    const inOrg = (set: Partial<typeof apiTokens.$inferInsert>) =>
      withOrg(api.db, org.id, (tx) => tx.update(apiTokens).set(set).where(eq(apiTokens.id, id)))
    const refused = { cause: { message: expect.stringContaining('permission denied') as string } }
    await expect(inOrg({ userId: org.userIds.viewer })).rejects.toMatchObject(refused)
    await expect(inOrg({ rotatedBy: org.userIds.viewer })).rejects.toMatchObject(refused)
    await expect(inOrg({ scopes: ['members:write'] })).rejects.toMatchObject(refused)
    await inOrg({ revokedAt: now })
  })
})

describe('rotation', () => {
  test('gives a new secret with the same rights; the old one works during the overlap and not after', async () => {
    const old = await made(owner, { scopes: ['organizations:read'], kind: 'service', expiresInDays: 30 })
    later(HOUR)
    const answer = await rotate(owner, old.id, { overlapHours: 2 })
    expect(answer.status).toBe(201)
    const fresh = await answer.json<Token & { replacesId: string }>()
    expect(fresh).toMatchObject({ replacesId: old.id, scopes: old.scopes, kind: 'service' })
    expect(Date.parse(fresh.expiresAt) - now.getTime()).toBe(30 * 24 * HOUR)
    later(HOUR)
    expect([await works(old.token), await works(fresh.token)]).toEqual([200, 200])
    later(HOUR + 1)
    expect([await works(old.token), await works(fresh.token)]).toEqual([401, 200])
  })

  test('happens once, also when two ask at once', async () => {
    const old = await made(owner, { scopes: ['organizations:read'] })
    const answers = await Promise.all([rotate(owner, old.id), rotate(owner, old.id), rotate(owner, old.id)])
    expect(answers.map(({ status }) => status).sort((a, b) => a - b)).toEqual([201, 409, 409])
  })

  test('of somebody else’s personal token, of one with more rights, or of a dead one is refused', async () => {
    const admin = (await fixture.signIn(org.userIds.admin, { secondFactorAt: now })).token
    const personal = await made(owner, { scopes: ['organizations:read'] })
    expect(await codeOf(await rotate(admin, personal.id))).toEqual([403, 'scope-not-yours'])
    const strong = await made(owner, { scopes: ['policies:write'], kind: 'service' })
    expect(await codeOf(await rotate(admin, strong.id))).toEqual([403, 'scope-not-yours'])
    await fixture.request('DELETE', `${path()}/${personal.id}`, { token: owner })
    expect((await rotate(owner, personal.id)).status).toBe(404)
  })

  test('of its maker’s own tokens is not for a service token, which has that person’s id and no role', async () => {
    const scopes = ['tokens:read', 'tokens:write', 'organizations:read']
    const robot = await made(owner, { scopes, kind: 'service' })
    const listed = await fixture.request('GET', path(), { token: robot.token })
    const personal = (await listed.json<(Token & { kind: string })[]>()).filter(({ kind }) => kind === 'personal')
    expect(personal.some(({ userId }) => userId === org.userIds.owner)).toBe(true)
    for (const { id } of personal) expect(await codeOf(await rotate(robot.token, id))).toEqual([403, 'scope-not-yours'])
    const own = await made(owner, { scopes: ['organizations:read'], kind: 'service' })
    expect((await rotate(robot.token, own.id)).status).toBe(201)
  })

  test('through the token itself does not make its time longer', async () => {
    const own = await made(owner, { scopes: ['organizations:read', 'apps:read'], expiresInDays: 10, kind: 'service' })
    later(HOUR)
    // The provisioned token may do everything, and yet what it rotates ends when it does itself.
    const rotated = await (await rotate(org.tokens.owner, own.id)).json<Token>()
    expect(Date.parse(rotated.expiresAt)).toBeLessThan(now.getTime() + 2 * 24 * HOUR)
  })
})

describe('revoking', () => {
  test('ends a live log at the next look of its stream', async () => {
    const app = await createLiveUpdateApp(fixture, org)
    const build = await queueBuild(fixture, { id: app.appId, org, token: org.tokens.member })
    const watcher = await made(owner, { scopes: ['builds:read'] })
    const stream = (token: string) => fixture.request('GET', `/v1/jobs/${build.jobId}/logs/stream`, { token })
    const [watched, kept] = [await stream(watcher.token), await stream(org.tokens.member)]
    expect([watched.status, kept.status]).toEqual([200, 200])
    await fixture.request('DELETE', `${path()}/${watcher.id}`, { token: owner })
    expect(await watched.text()).not.toContain('event: end')
    const reader = kept.body!.getReader()
    expect((await reader.read()).done).toBe(false)
    await reader.cancel()
    expect((await stream(watcher.token)).status).toBe(401)
  })

  test('needs no second factor, even where everything else does', async () => {
    const { id, token } = await made(owner, { scopes: ['organizations:read'] })
    await fixture.request('PATCH', `/v1/organizations/${org.id}`, { token: owner, body: { stepUpRequired: true } })
    expect(await codeOf(await create(org.tokens.owner))).toEqual([403, 'session-needed'])
    expect((await fixture.request('DELETE', `${path()}/${id}`, { token: org.tokens.owner })).status).toBe(204)
    expect(await works(token)).toBe(401)
  })
})

test('the list names kind, scopes, networks and use, and never a secret', async () => {
  const { id, token } = await made(owner, { scopes: ['organizations:read'], kind: 'service' })
  await works(token)
  const text = await (await fixture.request('GET', path(), { token: owner })).text()
  expect(text).not.toContain(token)
  const found = (JSON.parse(text) as { id: string; lastUsedAt: string }[]).find((row) => row.id === id)
  expect(found).toMatchObject({
    kind: 'service',
    scopes: ['organizations:read'],
    cidrs: null,
    lastUsedAt: expect.any(String),
  })
})
