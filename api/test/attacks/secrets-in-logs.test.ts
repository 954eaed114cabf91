import { createHash } from 'node:crypto'
import { Writable } from 'node:stream'
import { openDatabase } from '@capstan/migrations'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createApp } from '../../src/app.js'
import { hashPassword } from '../../src/auth/password.js'
import { createToken, hashToken } from '../../src/auth/tokens.js'
import { createLog } from '../../src/create-log.js'
import { createTestApp, queueBuild } from '../build-fixture.js'
import { createFixture, type Fixture, type TestOrganization } from '../fixture.js'

let fixture: Fixture
let org: TestOrganization
let written = ''

beforeAll(async () => {
  fixture = await createFixture()
  org = await fixture.createOrganization()
})
afterAll(() => fixture[Symbol.asyncDispose]())

/** The API with a log that is kept here. */
function loggedApp(overrides: object = {}) {
  written = ''
  const out = new Writable({
    write(chunk, _, done) {
      written += String(chunk)
      done()
    },
  })
  return createApp({ ...fixture.deps, ...overrides, log: createLog('api', 'info', out) })
}

async function asOwner(statement: string): Promise<void> {
  await using owner = openDatabase({ url: fixture.ownerUrl, poolSize: 1 })
  await owner.sql.unsafe(statement)
}

test('a query that fails is logged with its code, without its text and values', async () => {
  const app = loggedApp()
  await asOwner('alter table sessions rename column revoked_at to gone')
  const token = createToken('cs')
  const answer = await app.request('/v1/users/me', { headers: { authorization: `Bearer ${token}` } })
  await asOwner('alter table sessions rename column gone to revoked_at')
  expect(answer.status).toBe(500)
  expect(written).toContain('42703')
  expect(written).toContain('authenticate')
  expect(written).not.toContain(hashToken(fixture.deps.pepper, token))
  expect(written).not.toContain('select')
  expect(await answer.text()).not.toContain('revoked_at')
})

test('a row that the database refuses is not copied into the log', async () => {
  const app = loggedApp()
  await asOwner(`alter table users add constraint no_one check (last_seen_at is null)`)
  const email = 'someone.private@example.test'
  await asOwner(`insert into users (id, email) values ('018f0000-0000-7000-8000-0000000000aa', '${email}')`)
  const hash = await hashPassword('correct horse')
  await asOwner(`insert into user_passwords (user_id, hash) values ('018f0000-0000-7000-8000-0000000000aa', '${hash}')`)
  const answer = await app.request('/v1/sessions', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email, password: 'correct horse' }),
  })
  await asOwner('alter table users drop constraint no_one')
  expect(answer.status).toBe(500)
  expect(written).toContain('23514')
  expect(written).not.toContain(email)
})

test('a signed link is not in the log of the request that failed with it', async () => {
  const url = await fixture.deps.objects.signedGetUrl('a/b', { expiresInSeconds: 60 })
  const objects = { ...fixture.deps.objects, get: () => Promise.reject(new Error('disk on fire')) }
  const app = loggedApp({ objects })
  const answer = await app.request(new URL(url).pathname)
  expect(answer.status).toBe(500)
  expect(written).toContain('disk on fire')
  expect(written).not.toContain(new URL(url).pathname.split('/').at(-1))
  expect(written).toContain('/v1/objects/')
})

test('text of a stranger stays inside one line of the log', async () => {
  const objects = { ...fixture.deps.objects, get: () => Promise.reject(new Error('a\n{"level":60,"msg":"forged"}')) }
  const app = loggedApp({ objects })
  const url = await fixture.deps.objects.signedGetUrl('a/b', { expiresInSeconds: 60 })
  await app.request(new URL(url).pathname)
  expect(written.trim().split('\n')).toHaveLength(1)
})

test('a multipart request is never answered with 5xx, on which the official CLI would hang', async () => {
  const app = loggedApp()
  const digest = createHash('sha256').update('x').digest('hex')
  const form = new FormData()
  form.append('checksum', digest)
  form.append('file', new Blob(['x']), 'x.zip')
  form.append('mimeType', 'application/zip')
  form.append('name', 'x.zip')
  form.append('sizeInBytes', '1')
  const created = await fixture.request('POST', '/v1/apps', { token: org.tokens.owner, body: { name: 'x' } })
  const { id } = await created.json<{ id: string }>()
  await asOwner('alter table bundles rename to gone')
  const answer = await app.request(`/v1/apps/${id}/bundles/018f0000-0000-7000-8000-000000000000/files`, {
    method: 'POST',
    headers: { authorization: `Bearer ${org.tokens.owner}` },
    body: form,
  })
  await asOwner('alter table gone rename to bundles')
  expect(answer.status).toBe(409)
  expect(await answer.json()).toMatchObject({ code: 'upload-not-stored' })
  expect(written).toContain('42P01')
})

test('an audit export that fails half-way breaks off instead of looking complete', async () => {
  const app = loggedApp()
  await asOwner('alter table audit_events rename column event to gone')
  const answer = await app.request(`/v1/organizations/${org.id}/audit-events/export`, {
    headers: { authorization: `Bearer ${org.tokens.owner}` },
  })
  await expect(answer.text()).rejects.toThrow()
  await asOwner('alter table audit_events rename column gone to event')
  expect(written).toContain('audit export broke off')
  expect(written).not.toContain('select')
  const whole = await app.request(`/v1/organizations/${org.id}/audit-events/export`, {
    headers: { authorization: `Bearer ${org.tokens.owner}` },
  })
  expect((await whole.text()).trim().split('\n').length).toBeGreaterThan(0)
})

test('a live log that fails says nothing of the query to its reader', async () => {
  const testApp = await createTestApp(fixture, org)
  const build = await queueBuild(fixture, testApp)
  const app = loggedApp()
  await asOwner('alter table job_logs rename column lines to gone')
  const answer = await app.request(`/v1/jobs/${build.jobId}/logs/stream`, {
    headers: { authorization: `Bearer ${testApp.token}` },
  })
  const text = await answer.text()
  await asOwner('alter table job_logs rename column gone to lines')
  expect(text).not.toContain('select')
  expect(text).not.toContain('event: end')
  expect(written).toContain('a live log broke off')
  expect(written).not.toContain('select')
})
