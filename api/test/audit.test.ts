import { createHash } from 'node:crypto'
import { apps, auditEvents, openDatabase, withOrg } from '@capstan/migrations'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'

type Line = { seq: number; hash: string; event: string }

let fixture: Fixture
let org: TestOrganization

beforeAll(async () => {
  fixture = await createFixture()
  org = await fixture.createOrganization()
})
afterAll(() => fixture[Symbol.asyncDispose]())

const createApp = (name: string, of = org) =>
  fixture.request('POST', `/v1/apps?organizationId=${of.id}`, { token: of.tokens.owner, body: { name, type: 'ios' } })

async function exported(of: TestOrganization): Promise<Line[]> {
  const path = `/v1/organizations/${of.id}/audit-events/export`
  const answer = await fixture.request('GET', path, { token: of.tokens.owner })
  const text = await answer.text()
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Line)
}

test('200 changes at once make a chain without gap or fork', async () => {
  const crowd = await fixture.createOrganization('Crowd')
  const answers = await Promise.all(Array.from({ length: 200 }, (_, index) => createApp(`app ${index}`, crowd)))
  expect(answers.every((answer) => answer.status === 201)).toBe(true)
  const lines = await exported(crowd)
  expect(lines.map((line) => line.seq)).toEqual(Array.from({ length: 200 }, (_, index) => index + 1))
  let prev = '0'.repeat(64)
  for (const line of lines) {
    expect(JSON.parse(line.event)).toMatchObject({ seq: line.seq, prev, org: crowd.id, action: 'app.created' })
    expect(createHash('sha256').update('audit-event-v1\0').update(line.event).digest('hex')).toBe(line.hash)
    prev = line.hash
  }
})

test('an event names who acted, through what, on what, and the request', async () => {
  const answer = await createApp('named')
  const { id } = await answer.json<{ id: string }>()
  const event = JSON.parse((await exported(org)).at(-1)?.event ?? '')
  expect(event).toMatchObject({
    v: 1,
    actor: { type: 'user', id: org.userIds.owner, via: { type: 'token' } },
    target: { app: id },
    outcome: 'success',
    request: { id: answer.headers.get('x-request-id') },
  })
})

test('the offline copy belongs to those who may read it', async () => {
  const path = `/v1/organizations/${org.id}/audit-events/export`
  expect((await fixture.request('GET', path, { token: org.tokens.approver })).status).toBe(200)
  expect((await fixture.request('GET', path, { token: org.tokens.member })).status).toBe(403)
  const rival = await fixture.createOrganization('Rival')
  expect((await fixture.request('GET', path, { token: rival.tokens.owner })).status).toBe(404)
})

test('without its event a change does not happen', async () => {
  const owner = openDatabase({ url: fixture.ownerUrl, poolSize: 1 })
  const count = () => withOrg(fixture.deps.db, org.id, (tx) => tx.$count(apps))
  const before = await count()
  await owner.sql`revoke insert on audit_events from capstan_api`
  try {
    const refused = await createApp('unrecorded')
    expect([refused.status, (await refused.json()).code]).toEqual([503, 'audit-unavailable'])
    expect(await count()).toBe(before)
  } finally {
    await owner.sql`grant insert on audit_events to capstan_api`
    await owner[Symbol.asyncDispose]()
  }
  expect((await createApp('recorded')).status).toBe(201)
  expect(await count()).toBe(before + 1)
  expect(await withOrg(fixture.deps.db, org.id, (tx) => tx.$count(auditEvents))).toBe((await exported(org)).length)
})
