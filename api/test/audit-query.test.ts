import { withOrg } from '@capstan/migrations'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { recordAudit } from '../src/audit/record-audit.js'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'

const FORMULA = '=HYPERLINK("http://evil.example","x")'
let fixture: Fixture
let org: TestOrganization
let appId: string

beforeAll(async () => {
  fixture = await createFixture()
  org = await fixture.createOrganization()
  const create = (token: string, name: string) => fixture.request('POST', '/v1/apps', { token, body: { name } })
  appId = (await (await create(org.tokens.owner, 'one')).json<{ id: string }>()).id
  await create(org.tokens.admin, 'two')
  await create(org.tokens.admin, 'three')
  await fixture.request('PATCH', `/v1/apps/${appId}`, { token: org.tokens.admin, body: { name: 'other' } })
  const by = { orgId: org.id, actor: { type: 'system' as const, id: FORMULA }, requestId: '+1' }
  await withOrg(fixture.deps.db, org.id, (tx) =>
    recordAudit(tx, by, { action: '@SUM(A1)', target: { app: '-2' }, data: { text: 'a "quoted", line\nbreak' } }),
  )
})
afterAll(() => fixture[Symbol.asyncDispose]())

const path = () => `/v1/organizations/${org.id}/audit-events`
async function found(query: string): Promise<[number, string][]> {
  const answer = await fixture.request('GET', `${path()}?${query}`, { token: org.tokens.approver })
  expect(answer.status).toBe(200)
  const rows = await answer.json<{ seq: number; event: string }[]>()
  return rows.map(({ seq, event }) => [seq, JSON.parse(event).action])
}

describe('events', () => {
  test('are found by action, actor, target and time, page by page', async () => {
    expect((await found('action=app.created')).map(([seq]) => seq)).toEqual([3, 2, 1])
    expect(await found(`actor=${org.userIds.owner}`)).toEqual([[1, 'app.created']])
    expect(await found(`target=${appId}`)).toEqual([
      [4, 'app.updated'],
      [1, 'app.created'],
    ])
    expect(await found(`target=${appId}&actor=${org.userIds.admin}`)).toEqual([[4, 'app.updated']])
    expect(await found('limit=2')).toHaveLength(2)
    expect((await found('limit=2&before=4')).map(([seq]) => seq)).toEqual([3, 2])
    expect(await found('before=1')).toEqual([])
    const answer = await fixture.request('GET', `${path()}?limit=1&before=3`, { token: org.tokens.owner })
    const [{ event } = { event: '{}' }] = await answer.json<{ event: string }[]>()
    const { ts } = JSON.parse(event)
    expect((await found(`to=${ts}`)).map(([seq]) => seq)).toEqual([1])
    expect((await found(`from=${ts}`)).map(([seq]) => seq)).toEqual([5, 4, 3, 2])
  })

  test('are asked for in words that mean something', async () => {
    for (const query of ['from=yesterday', 'before=0', 'before=x', 'limit=0']) {
      const answer = await fixture.request('GET', `${path()}?${query}`, { token: org.tokens.owner })
      expect([query, answer.status]).toEqual([query, 422])
    }
    expect(await found(`target=${encodeURIComponent('"]}\' or 1=1 --')}`)).toEqual([])
    expect((await fixture.request('GET', path(), { token: org.tokens.member })).status).toBe(403)
  })
})

describe('the export', () => {
  test('as a table, with nothing that a spreadsheet would run', async () => {
    const answer = await fixture.request('GET', `${path()}/export?format=csv`, { token: org.tokens.owner })
    expect(answer.headers.get('content-type')).toBe('text/csv; charset=utf-8')
    const text = await answer.text()
    const lines = text.split('\r\n')
    expect(lines[0]).toBe(
      '"seq","time","actor type","actor","through","action","outcome","target","data","personal","request","hash"',
    )
    expect(lines).toHaveLength(7)
    expect(lines[1]).toContain(`"'=HYPERLINK(""http://evil.example"",""x"")"`)
    expect(lines[1]).toContain(`"'@SUM(A1)"`)
    expect(lines[1]).toContain(`"'+1"`)
    expect(lines[1]).toContain('a \\""quoted\\"", line\\nbreak')
    for (const line of lines) expect(line).not.toMatch(/(?:^|,)"?[=+\-@]/)
    const some = await fixture.request('GET', `${path()}/export?format=csv&actor=${org.userIds.owner}`, {
      token: org.tokens.owner,
    })
    expect((await some.text()).trim().split('\r\n')).toHaveLength(2)
  })

  test('as lines is always the whole chain', async () => {
    const answer = await fixture.request('GET', `${path()}/export?actor=${org.userIds.owner}`, {
      token: org.tokens.owner,
    })
    expect(answer.headers.get('content-type')).toBe('application/x-ndjson')
    expect((await answer.text()).trim().split('\n')).toHaveLength(5)
  })
})
