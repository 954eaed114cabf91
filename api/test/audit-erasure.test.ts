import { randomBytes } from 'node:crypto'
import { personalValues, withOrg } from '@capstan/migrations'
import { type AuditVerdict, verifyAuditExport } from '@capstan/sdk/audit'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { recordAudit } from '../src/audit/record-audit.js'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'

type Row = { seq: number; event: string; personal: Record<string, unknown> }
type Line = { event: string; personal?: Record<string, { salt: string; value: string }> }

let fixture: Fixture
let org: TestOrganization
let session: string
let appId: string
let channelId: string

beforeAll(async () => {
  fixture = await createFixture()
})
afterAll(() => fixture[Symbol.asyncDispose]())

async function settle(): Promise<void> {
  org = await fixture.createOrganization()
  session = (await fixture.signIn(org.userIds.owner, { secondFactorAt: new Date() })).token
  appId = (await made('POST', `/v1/apps?organizationId=${org.id}`, { name: 'Anna' })).id
  channelId = (await made('POST', `/v1/apps/${appId}/channels`, { name: "Anna's channel" })).id
  await made('PATCH', `/v1/apps/${appId}/channels/${channelId}`, { name: 'anna 100%' })
  await made('POST', ofOrg('teams'), { name: 'Berths' })
}

async function made(method: string, path: string, body: unknown): Promise<{ id: string }> {
  const answer = await fixture.request(method, path, { token: session, body })
  const text = await answer.text()
  expect([path, answer.status, text]).toEqual([path, expect.toBeOneOf([200, 201, 204]), text])
  return text === '' ? { id: '' } : (JSON.parse(text) as { id: string })
}

const ofOrg = (rest: string) => `/v1/organizations/${org.id}/${rest}`
async function rows(query = ''): Promise<Row[]> {
  return (await fixture.request('GET', `${ofOrg('audit-events')}?limit=100&${query}`, { token: session })).json<Row[]>()
}
const erase = (body: unknown, token = session) =>
  fixture.request('POST', ofOrg('audit-events/erasures'), { token, body })
async function erased(body: unknown): Promise<unknown> {
  const answer = await erase(body)
  expect(answer.status).toBe(200)
  return answer.json()
}
const exported = async () => (await fixture.request('GET', ofOrg('audit-events/export'), { token: session })).text()
async function* once(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text)
}
const verdictOf = (text: string): Promise<AuditVerdict> => verifyAuditExport(once(text))
const personalOf = async (action: string) => (await rows(`action=${action}`)).map(({ personal }) => personal)

describe('what people wrote', () => {
  test('stands beside the events and in none', async () => {
    await settle()
    await made('PATCH', `/v1/organizations/${org.id}`, {
      name: 'Anna Ltd',
      ipAllowlist: ['198.18.0.0/15', '1.2.3.4/32'],
    })
    await made('PATCH', `/v1/apps/${appId}`, { egressHosts: ['anna.example'] })
    await made('POST', `/v1/apps/${appId}/environments`, { name: 'Anna' })
    await made('POST', `/v1/apps/${appId}/configurations`, { name: 'Anna', packageName: 'com.anna.app' })
    await made('PUT', `/v1/apps/${appId}/repository`, { url: 'https://github.com/anna/app.git' })
    const auth = { kind: 'none' }
    await made('POST', ofOrg('git-connections'), { name: 'Anna', provider: 'git_http', host: 'git.anna.example', auth })
    await made('POST', ofOrg('tokens'), { name: 'Anna', kind: 'personal' })
    await made('POST', `/v1/apps/${appId}/environments`, { name: 'Berth' })
    const all = await rows()
    expect(all.length).toBeGreaterThan(10)
    expect(all.filter(({ event }) => /anna|1\.2\.3\.4/i.test(event))).toEqual([])
    expect(await personalOf('channel.updated')).toEqual([{ name: 'anna 100%' }])
    expect(await personalOf('app.updated')).toEqual([{ egressHosts: ['anna.example'] }])
    expect(await personalOf('git_connection.created')).toEqual([{ host: 'git.anna.example', name: 'Anna' }])
    expect(await personalOf('organization.updated')).toMatchObject([{ name: { to: 'Anna Ltd' } }])
    expect(await personalOf('app.created')).toEqual([{}])
    const table = await fixture.request('GET', ofOrg('audit-events/export?format=csv'), { token: session })
    expect(await table.text()).toContain('{""name"":""anna 100%""}')
  })

  test('is in the export with what proves it; another value, and one more, is not it', async () => {
    await settle()
    const text = await exported()
    expect(await verdictOf(text)).toMatchObject({ ok: true, size: 5, erased: 0 })
    const changed = (change: (line: Line) => void): string => {
      const lines = text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Line)
      change(lines[2] as Line)
      return lines.map((line) => `${JSON.stringify(line)}\n`).join('')
    }
    const name = { salt: randomBytes(32).toString('hex'), value: '"Berta"' }
    const forgeries: ((line: Line) => void)[] = [
      (line) => (line.personal = { name: { ...(line.personal?.['name'] ?? name), value: '"Berta"' } }),
      (line) => (line.personal = { name }),
      (line) => (line.personal = { ...line.personal, who: name }),
      (line) => (line.personal = { name: { ...name, salt: '' } }),
    ]
    for (const forge of forgeries) {
      expect(await verdictOf(changed(forge))).toMatchObject({ ok: false, code: 'PERSONAL_MISMATCH', seq: 3 })
    }
    expect(await verdictOf(changed((line) => delete line.personal))).toMatchObject({ ok: true, erased: 1 })
  })
})

describe('an erasure', () => {
  test('takes the values that contain a text, in any case, and leaves the chain whole', async () => {
    await settle()
    const before = (await rows()).map(({ event }) => event)
    expect(await erased({ text: 'ANNA' })).toEqual({ values: 2, events: 2 })
    const [newest, ...after] = await rows()
    expect(after.map(({ event }) => event)).toEqual(before)
    expect(after.map(({ personal }) => personal)).toEqual([{ name: 'Berths' }, { name: null }, { name: null }, {}, {}])
    const { action, actor, data } = JSON.parse(newest?.event ?? '{}')
    expect([action, actor.id]).toEqual(['audit.values_erased', org.userIds.owner])
    expect(data).toEqual({ actor: null, target: null, byText: true, values: 2, events: 2 })
    const text = await exported()
    expect(text.toLowerCase()).not.toContain('anna')
    expect(await verdictOf(text)).toMatchObject({ ok: true, size: 6, erased: 2 })
    expect(await erased({ text: 'ANNA' })).toEqual({ values: 0, events: 0 })
    expect(await rows()).toHaveLength(6)
  })

  test('by text takes the text as it is', async () => {
    await settle()
    expect(await erased({ text: 'a__a' })).toEqual({ values: 0, events: 0 })
    expect(await erased({ text: '100%' })).toEqual({ values: 1, events: 1 })
    expect(await personalOf('channel.created')).toEqual([{ name: "Anna's channel" }])
  })

  test('by target, by actor, by both', async () => {
    await settle()
    expect(await erased({ target: channelId, actor: org.userIds.admin })).toEqual({ values: 0, events: 0 })
    expect(await erased({ target: channelId, text: 'channel' })).toEqual({ values: 1, events: 1 })
    expect(await erased({ target: channelId })).toEqual({ values: 1, events: 1 })
    expect(await personalOf('team.created')).toEqual([{ name: 'Berths' }])
    expect(await erased({ actor: org.userIds.owner })).toEqual({ values: 1, events: 1 })
    expect(await verdictOf(await exported())).toMatchObject({ ok: true, erased: 3 })
  })

  test('is of one organization', async () => {
    await settle()
    const [first, firstSession] = [org, session]
    await settle()
    expect(await erased({ text: 'anna' })).toEqual({ values: 2, events: 2 })
    const answer = await fixture.request('POST', `/v1/organizations/${first.id}/audit-events/erasures`, {
      token: session,
      body: { text: 'anna' },
    })
    expect(answer.status).toBe(404)
    ;[org, session] = [first, firstSession]
    expect(await personalOf('channel.updated')).toEqual([{ name: 'anna 100%' }])
  })

  test('is for an owner with a fresh second factor, who says what', async () => {
    await settle()
    const refused = async (body: unknown, token?: string) => {
      const answer = await erase(body, token)
      return [answer.status, (await answer.json<{ code: string }>()).code]
    }
    const stale = await fixture.signIn(org.userIds.owner, { secondFactorAt: new Date(Date.now() - 3_600_000) })
    const admin = await fixture.signIn(org.userIds.admin, { secondFactorAt: new Date() })
    expect(await refused({ text: 'anna' }, org.tokens.owner)).toEqual([403, 'session-needed'])
    expect(await refused({ text: 'anna' }, stale.token)).toEqual([403, 'second-factor-stale'])
    expect(await refused({ text: 'anna' }, admin.token)).toEqual([403, 'permission-missing'])
    expect(await refused({})).toEqual([422, 'request-invalid'])
    expect(await refused({ text: 'an' })).toEqual([422, 'request-invalid'])
    expect(await erased({ text: 'anna' })).toEqual({ values: 2, events: 2 })
  })
})

test('with the rights of the API nothing is erased that the chain does not tell of, and nothing rewritten', async () => {
  await settle()
  const denied = { cause: { message: expect.stringMatching(/permission denied/) as string } }
  const inOrg = <T>(work: Parameters<typeof withOrg<T>>[2]) => withOrg(fixture.deps.db, org.id, work)
  await expect(inOrg((tx) => tx.delete(personalValues))).rejects.toThrow(/beside an event/)
  await expect(inOrg((tx) => tx.update(personalValues).set({ value: '"x"' }))).rejects.toMatchObject(denied)
  await expect(inOrg((tx) => tx.execute(sql`truncate personal_values`))).rejects.toMatchObject(denied)
  expect(await personalOf('channel.updated')).toEqual([{ name: 'anna 100%' }])
  const by = { orgId: org.id, actor: { type: 'system' as const, id: 'test' }, requestId: 'test' }
  await inOrg(async (tx) => {
    await tx.delete(personalValues)
    await recordAudit(tx, by, { action: 'audit.values_erased', target: {} })
  })
  expect(await personalOf('channel.updated')).toEqual([{ name: null }])
  await made('POST', ofOrg('teams'), { name: 'Cranes' })
  await expect(inOrg((tx) => tx.delete(personalValues))).rejects.toThrow(/beside an event/)
})
