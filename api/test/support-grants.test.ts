import { jobLogs, operators, supportGrants, withLookup, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { hashToken } from '../src/auth/tokens.js'
import {
  claimed,
  createTestApp,
  line,
  queueBuild,
  sourceZip,
  type TestApp,
  type TestBuild,
  underLease,
} from './build-fixture.js'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import { createOperator } from './operator-calls.js'

const HOUR = 3_600_000
let fixture: Fixture
let org: TestOrganization
let app: TestApp
let build: TestBuild
let operator: { id: string; token: string }
let owner: string
let now = new Date()

beforeAll(async () => {
  fixture = await createFixture({ overrides: { now: () => now } })
  app = await createTestApp(fixture)
  org = app.org
  build = await queueBuild(fixture, app)
  const claim = await claimed(fixture, await fixture.createWorker(), build.id)
  await underLease(fixture, claim, 'logs', { batch: 1, lines: [line('a line of the log')] })
  operator = await createOperator(fixture)
})
beforeEach(async () => {
  now = new Date()
  owner = (await fixture.signIn(org.userIds.owner, { secondFactorAt: now })).token
})
afterAll(() => fixture[Symbol.asyncDispose]())

const ask = (method: string, path: string, token: string, body?: unknown) =>
  fixture.request(method, path, { token, ...(body === undefined ? {} : { body }) })
const wanted = { caseReference: 'case 7', reason: 'The build fails and we do not see why.', hours: 2 }
async function requested(scope: string, by = operator, hours = 2): Promise<string> {
  const body = { ...wanted, scope, hours, organizationId: org.id }
  const answer = await ask('POST', '/operator/v1/support-grants', by.token, body)
  expect(answer.status).toBe(201)
  return (await answer.json<{ id: string }>()).id
}
const decide = (method: 'POST' | 'DELETE', id: string, token = owner) =>
  ask(method, `/v1/organizations/${org.id}/support-grants/${id}${method === 'POST' ? '/approval' : ''}`, token)
async function granted(scope: string): Promise<string> {
  const id = await requested(scope)
  expect((await decide('POST', id)).status).toBe(200)
  return id
}
const paths = {
  logs: () => `/builds/${build.id}/log`,
  source: () => `/builds/${build.id}/source`,
  builds: () => '/builds',
}
const read = (id: string, what: keyof typeof paths, by = operator) =>
  ask('GET', `/operator/v1/support-grants/${id}${paths[what]()}`, by.token)
const codeOf = async (answer: Awaited<ReturnType<typeof read>>) => [answer.status, (await answer.json()).code]
async function reads(): Promise<Record<string, unknown>[]> {
  const answer = await ask('GET', `/v1/organizations/${org.id}/audit-events?action=support.read`, org.tokens.owner)
  const rows = await answer.json<{ event: string; personal: unknown }[]>()
  return rows.map(({ event, personal }) => ({ ...JSON.parse(event), personal }))
}

describe('a support grant', () => {
  test('reads nothing before it was approved, after it was taken back, or after its time', async () => {
    const before = (await reads()).length
    const id = await requested('logs')
    expect(await codeOf(await read(id, 'logs'))).toEqual([403, 'support-grant-needed'])
    expect((await decide('POST', id)).status).toBe(200)
    expect((await read(id, 'logs')).status).toBe(200)
    expect((await decide('DELETE', id)).status).toBe(204)
    expect(await codeOf(await read(id, 'logs'))).toEqual([403, 'support-grant-needed'])
    const second = await granted('logs')
    now = new Date(now.getTime() + 2 * HOUR - 1_000)
    expect((await read(second, 'logs')).status).toBe(200)
    now = new Date(now.getTime() + 2_000)
    expect(await codeOf(await read(second, 'logs'))).toEqual([403, 'support-grant-needed'])
    expect(await reads()).toHaveLength(before + 2)
  })

  test('opens its scope and nothing else, each read an event of the organization', async () => {
    const ids = { logs: await granted('logs'), source: await granted('source'), builds: await granted('builds') }
    for (const scope of ['logs', 'source', 'builds'] as const) {
      for (const what of ['logs', 'source', 'builds'] as const) {
        expect([scope, what, (await read(ids[scope], what)).status]).toEqual([scope, what, scope === what ? 200 : 403])
      }
    }
    expect(await (await read(ids.logs, 'logs')).text()).toContain('a line of the log')
    expect(new Uint8Array(await (await read(ids.source, 'source')).arrayBuffer())).toEqual(sourceZip())
    expect(await (await read(ids.builds, 'builds')).json()).toMatchObject([{ id: build.id, jobId: build.jobId }])
    const [last] = await reads()
    expect(last).toMatchObject({
      actor: { type: 'operator', id: operator.id },
      target: { grant: ids.builds },
      data: { scope: 'builds' },
      personal: { caseReference: wanted.caseReference },
    })
  })

  test('is approved by an owner with a second factor, once, and for no longer than a day', async () => {
    const id = await requested('logs')
    const plain = (await fixture.signIn(org.userIds.owner)).token
    const admin = (await fixture.signIn(org.userIds.admin, { secondFactorAt: now })).token
    expect((await decide('POST', id, org.tokens.owner)).status).toBe(403)
    expect((await decide('POST', id, plain)).status).toBe(403)
    expect((await decide('POST', id, admin)).status).toBe(403)
    expect((await decide('POST', id, operator.token)).status).toBe(401)
    expect((await decide('POST', id)).status).toBe(200)
    expect(await codeOf(await decide('POST', id))).toEqual([409, 'support-grant-decided'])
    for (const hours of [0, 25, 1.5]) {
      const body = { ...wanted, scope: 'logs', organizationId: org.id, hours }
      expect((await ask('POST', '/operator/v1/support-grants', operator.token, body)).status).toBe(422)
    }
    const credentials = { ...wanted, scope: 'credentials', organizationId: org.id }
    expect((await ask('POST', '/operator/v1/support-grants', operator.token, credentials)).status).toBe(422)
    const forever = withOrg(fixture.deps.db, org.id, (tx) =>
      tx
        .update(supportGrants)
        .set({ expiresAt: new Date(now.getTime() + 48 * HOUR) })
        .where(eq(supportGrants.id, id)),
    )
    await expect(forever).rejects.toThrow()
  })

  test('that was declined stays so; the organization sees what was asked', async () => {
    const id = await requested('source')
    expect((await decide('DELETE', id)).status).toBe(204)
    expect(await codeOf(await decide('POST', id))).toEqual([409, 'support-grant-decided'])
    const list = await ask('GET', `/v1/organizations/${org.id}/support-grants`, org.tokens.admin)
    const [newest] = await list.json<{ id: string }[]>()
    expect(newest).toMatchObject({ id, status: 'declined', operator: { name: 'Support' }, ...wanted })
    expect((await ask('GET', `/v1/organizations/${org.id}/support-grants`, org.tokens.member)).status).toBe(403)
    const own = await ask('GET', `/operator/v1/support-grants/${id}`, operator.token)
    expect(await own.json()).toMatchObject({ status: 'declined' })
  })

  test('of another operator, another organization, or that never was, is not found', async () => {
    const id = await granted('logs')
    const stranger = await createOperator(fixture, 'Another')
    expect((await read(id, 'logs', stranger)).status).toBe(404)
    expect((await read(build.id, 'logs')).status).toBe(404)
    const rival = await fixture.createOrganization('Rival')
    const theirs = (await fixture.signIn(rival.userIds.owner, { secondFactorAt: now })).token
    expect((await decide('POST', id, theirs)).status).toBe(404)
    const other = await queueBuild(fixture, await createTestApp(fixture, rival))
    const path = `/operator/v1/support-grants/${id}/builds/${other.id}/log`
    expect((await ask('GET', path, operator.token)).status).toBe(404)
  })
})

describe('a log that is long to read', () => {
  /** More than the answer reads ahead. */
  const BATCHES = 4_000
  let long: TestBuild
  beforeAll(async () => {
    long = await queueBuild(fixture, app)
    const own = { orgId: org.id, jobId: long.jobId, attempt: 1 }
    const rows = Array.from({ length: BATCHES }, (_, index) => {
      const [number, text] = [index + 1, 'x'.repeat(100)]
      const lines = [{ ...line(text), number }]
      return { ...own, batch: number, firstNumber: number, lastNumber: number, lines }
    })
    for (let at = 0; at < rows.length; at += 1_000) {
      await withOrg(fixture.deps.db, org.id, (tx) => tx.insert(jobLogs).values(rows.slice(at, at + 1_000)))
    }
  })

  /** The first part, then what `meanwhile` does, then the rest; null: it broke off. */
  async function readSlowly(by: typeof operator, id: string, meanwhile: () => Promise<void>): Promise<number | null> {
    const answer = await ask('GET', `/operator/v1/support-grants/${id}/builds/${long.id}/log`, by.token)
    expect(answer.status).toBe(200)
    const reader = answer.body!.getReader()
    let bytes = (await reader.read()).value?.length ?? 0
    await meanwhile()
    now = new Date(now.getTime() + 4_000)
    try {
      for (;;) {
        const { value, done } = await reader.read()
        if (done) return bytes
        bytes += value.length
      }
    } catch {
      return null
    }
  }

  test('comes to its end while the grant is live', async () => {
    expect(await readSlowly(operator, await granted('logs'), () => Promise.resolve())).toBe(BATCHES * 101)
  })

  test('breaks off once the grant was taken back or ran out, or the operator is none any more', async () => {
    const id = await granted('logs')
    const takeBack = async () => void (await decide('DELETE', id))
    expect(await readSlowly(operator, id, takeBack)).toBeNull()
    const runOut = async () => void (now = new Date(now.getTime() + 2 * HOUR))
    expect(await readSlowly(operator, await granted('logs'), runOut)).toBeNull()
    const gone = await createOperator(fixture)
    const theirs = await requested('logs', gone)
    owner = (await fixture.signIn(org.userIds.owner, { secondFactorAt: now })).token
    expect((await decide('POST', theirs)).status).toBe(200)
    const revoke = async () => {
      const tokenHash = hashToken(fixture.deps.pepper, gone.token)
      await withLookup(fixture.deps.db, tokenHash, (tx) =>
        tx.update(operators).set({ revokedAt: now }).where(eq(operators.tokenHash, tokenHash)),
      )
    }
    expect(await readSlowly(gone, theirs, revoke)).toBeNull()
  })
})

describe('an operator', () => {
  test('opens nothing of an organization by the token alone', async () => {
    for (const path of [`/v1/organizations/${org.id}`, `/v1/apps/${app.id}/builds`, `/v1/jobs/${build.jobId}`]) {
      expect([path, (await ask('GET', path, operator.token)).status]).toEqual([path, 401])
    }
    expect((await ask('POST', '/operator/v1/support-grants', org.tokens.owner, {})).status).toBe(401)
  })

  test('whose token was revoked is nobody', async () => {
    const gone = await createOperator(fixture)
    const id = await requested('logs', gone)
    const tokenHash = hashToken(fixture.deps.pepper, gone.token)
    await withLookup(fixture.deps.db, tokenHash, (tx) =>
      tx.update(operators).set({ revokedAt: now }).where(eq(operators.tokenHash, tokenHash)),
    )
    expect((await ask('GET', `/operator/v1/support-grants/${id}`, gone.token)).status).toBe(401)
  })
})
