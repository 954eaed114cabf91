import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'

let fixture: Fixture
let org: TestOrganization
let rival: TestOrganization

beforeAll(async () => {
  fixture = await createFixture()
  org = await fixture.createOrganization('Acme')
  rival = await fixture.createOrganization('Rival')
})
afterAll(() => fixture[Symbol.asyncDispose]())

describe('apps', () => {
  test('are created, listed, read, changed and deleted', async () => {
    const token = org.tokens.admin
    const created = await fixture.request('POST', `/v1/apps?organizationId=${org.id}`, {
      token,
      body: { name: 'Shop', type: 'android' },
    })
    expect(created.status).toBe(201)
    const { id } = await created.json<{ id: string }>()
    const listed = await (
      await fixture.request('GET', `/v1/apps?organizationId=${org.id}&limit=50`, { token })
    ).json<{ id: string }[]>()
    expect(listed.map((app: { id: string }) => app.id)).toContain(id)
    const patched = await fixture.request('PATCH', `/v1/apps/${id}`, { token, body: { appId: id, name: 'Shop 2' } })
    expect(await patched.json()).toMatchObject({ id, name: 'Shop 2', type: 'android' })
    expect((await fixture.request('DELETE', `/v1/apps/${id}`, { token })).status).toBe(204)
    expect((await fixture.request('GET', `/v1/apps/${id}`, { token })).status).toBe(404)
  })

  test('of another organization are 404 with the body of an id that does not exist', async () => {
    const created = await fixture.request('POST', '/v1/apps', {
      token: org.tokens.owner,
      body: { name: 'Mine', type: 'ios' },
    })
    const { id } = await created.json<{ id: string }>()
    const foreign = await fixture.request('GET', `/v1/apps/${id}`, { token: rival.tokens.owner })
    const absent = await fixture.request('GET', '/v1/apps/018f0000-0000-7000-8000-000000000000', {
      token: rival.tokens.owner,
    })
    expect(foreign.status).toBe(404)
    const withoutRequest = (body: Record<string, unknown>) => ({ ...body, requestId: '' })
    expect(withoutRequest(await foreign.json())).toEqual(withoutRequest(await absent.json()))
  })

  test('cannot be created by a viewer', async () => {
    const refused = await fixture.request('POST', '/v1/apps', {
      token: org.tokens.viewer,
      body: { name: 'No', type: 'ios' },
    })
    expect(refused.status).toBe(403)
    expect(await refused.json()).toMatchObject({
      code: 'permission-missing',
      message: expect.stringContaining('apps:write'),
    })
  })
})

describe('tokens', () => {
  test('work until they are revoked, and never leave the database in clear', async () => {
    const path = `/v1/organizations/${org.id}/tokens`
    const created = await (
      await fixture.request('POST', path, { token: org.tokens.owner, body: { name: 'ci' } })
    ).json<{ id: string; token: string }>()
    expect(created.token).toMatch(/^ca_[0-9A-Za-z]{36}$/)
    expect((await fixture.request('GET', '/v1/users/me', { token: created.token })).status).toBe(200)
    const listed = await (await fixture.request('GET', path, { token: org.tokens.owner })).text()
    expect(listed).not.toContain(created.token)
    await fixture.request('DELETE', `${path}/${created.id}`, { token: org.tokens.owner })
    expect((await fixture.request('GET', '/v1/users/me', { token: created.token })).status).toBe(401)
  })

  test.each(['', 'ca_short', `ca_${'A'.repeat(36)}`, `cs_${'0'.repeat(36)}`])(
    '%j is refused with 401',
    async (token) => {
      const refused = await fixture.request('GET', '/v1/users/me', token ? { token } : {})
      expect(refused.status).toBe(401)
      expect(refused.headers.get('content-type')).toContain('application/problem+json')
    },
  )
})

describe('problems', () => {
  test('have a message, a code and a page of their own', async () => {
    const refused = await fixture.request('POST', '/v1/apps', {
      token: org.tokens.owner,
      body: { name: '', type: 'pdf' },
    })
    expect(refused.status).toBe(422)
    const problem = await refused.json<{ type: string; detail: string; errors: unknown[] }>()
    expect(problem).toMatchObject({ code: 'request-invalid', message: problem.detail })
    expect(problem.errors.length).toBeGreaterThan(0)
    const page = await fixture.request('GET', new URL(problem.type).pathname)
    expect(await page.json()).toMatchObject({ code: 'request-invalid', status: 422 })
  })

  test('text that cannot be stored is refused, not an error of ours', async () => {
    const create = (name: string) =>
      fixture.request('POST', '/v1/apps', { token: org.tokens.owner, body: { name, type: 'ios' } })
    const refused = await create('a\u0000b')
    expect(refused.status).toBe(422)
    expect(await refused.json()).toMatchObject({ code: 'request-invalid', message: expect.stringContaining('NUL') })
    expect((await create('a\u0001b \ud83d\ude80')).status).toBe(201)
  })

  test.each([
    ['no body', undefined, {}],
    ['broken JSON', '{"name":', { 'content-type': 'application/json' }],
    ['another content type', 'name=x', { 'content-type': 'text/plain' }],
  ])('%s is a problem document too', async (_name, body, headers) => {
    const refused = await fixture.request('POST', '/v1/apps', { token: org.tokens.owner, body, headers })
    expect(refused.status).toBeGreaterThanOrEqual(400)
    expect(refused.status).toBeLessThan(500)
    expect(await refused.json()).toMatchObject({ code: expect.any(String), message: expect.any(String) })
  })
})
