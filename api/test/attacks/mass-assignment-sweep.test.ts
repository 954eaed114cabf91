import { randomUUID } from 'node:crypto'
import { openDatabase } from '@capstan/migrations'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { addCertificate, queueBuild } from '../build-fixture.js'
import { createFixture, type Fixture, type TestOrganization } from '../fixture.js'
import { createLiveUpdateApp, zipOf } from '../live-update-app.js'

const STRANGE = '018f0000-0000-7000-8000-00000000dead'
const STRANGE_HASH = 'dead'.repeat(16)
const STRANGE_NUMBER = 918_273_645
/** Sent as text, so that `__proto__` is a key of the document and not of this object. */
const extra = `"id":"${STRANGE}","org_id":"${STRANGE}","orgId":"${STRANGE}","organizationId":"${STRANGE}",
  "appId":"${STRANGE}","app_id":"${STRANGE}","userId":"${STRANGE}","user_id":"${STRANGE}","created_by":"${STRANGE}",
  "createdBy":"${STRANGE}","requestedBy":"${STRANGE}","approvedBy":"${STRANGE}","objectKey":"${STRANGE}",
  "object_key":"${STRANGE}","role":"${STRANGE}","state":"${STRANGE}","status":"${STRANGE}","tokenHash":"${STRANGE_HASH}",
  "sha256":"${STRANGE_HASH}","envelope":"${STRANGE_HASH}","fingerprintSha256":"${STRANGE_HASH}",
  "fence":${STRANGE_NUMBER},"attempt":${STRANGE_NUMBER},"number":${STRANGE_NUMBER},"version":${STRANGE_NUMBER},
  "currentVersion":${STRANGE_NUMBER},"nextBuildNumber":${STRANGE_NUMBER},"seq":${STRANGE_NUMBER},
  "__proto__":{"polluted":"${STRANGE}"},"constructor":{"prototype":{"polluted":"${STRANGE}"}}`

type Schema = {
  $ref?: string
  type?: string | string[]
  enum?: unknown[]
  const?: unknown
  anyOf?: Schema[]
  oneOf?: Schema[]
  allOf?: Schema[]
  properties?: Record<string, Schema>
  required?: string[]
  items?: Schema
  minItems?: number
  minLength?: number
  minimum?: number
  format?: string
}
type Operation = {
  operationId: string
  security?: Record<string, string[]>[]
  requestBody?: { content?: Record<string, { schema?: Schema }> }
}
type Route = { method: string; path: string; id: string; schema: Schema }

let fixture: Fixture
let org: TestOrganization
let owner: string
let routes: Route[]
let components: Record<string, Schema>
let ids: Record<string, string>

beforeAll(async () => {
  fixture = await createFixture({ overrides: { mailKey: Buffer.alloc(32, 7) } })
  org = await fixture.createOrganization()
  owner = (await fixture.signIn(org.userIds.owner, { secondFactorAt: new Date() })).token
  const app = await createLiveUpdateApp(fixture, org)
  const testApp = { id: app.appId, org, token: org.tokens.member }
  const credentialId = await addCertificate(fixture, testApp, 'Upload key')
  const build = await queueBuild(fixture, testApp)
  const channel = await app.must('POST', '/channels', { name: 'production' })
  const bundle = await app.publishZip(zipOf({ 'index.html': 'a' }), { bundle: { channelName: 'production' } })
  const { appBuildSourceId } = await app.must<{ appBuildSourceId: string }>('GET', `/builds/${build.id}`)
  ids = {
    appId: app.appId,
    organizationId: org.id,
    buildId: build.id,
    jobId: build.jobId,
    channelId: channel.id,
    bundleId: bundle.bundle.id,
    buildSourceId: appBuildSourceId,
    appBuildSourceId,
    appBuildId: build.id,
    appChannelId: channel.id,
    certificateId: credentialId,
    credentialId,
  }
  const document = fixture.app.getOpenAPI31Document({ openapi: '3.1.0', info: { title: 'x', version: '1' } })
  components = document.components?.schemas ?? {}
  routes = Object.entries(document.paths ?? {}).flatMap(([path, item]) =>
    Object.entries(item as Record<string, Operation>).flatMap(([method, operation]) => {
      const schema = operation.requestBody?.content?.['application/json']?.schema
      return schema ? [{ method: method.toUpperCase(), path, id: operation.operationId, schema }] : []
    }),
  )
})
afterAll(() => fixture[Symbol.asyncDispose]())

/** The least that a schema takes. */
function sample(schema: Schema, name = ''): unknown {
  if (schema.$ref) return sample(components[schema.$ref.split('/').at(-1) ?? ''] ?? {}, name)
  if (schema.const !== undefined) return schema.const
  if (schema.enum) return schema.enum[0]
  const [first] = schema.anyOf ?? schema.oneOf ?? []
  if (first) return sample(first, name)
  if (schema.allOf) return Object.assign({}, ...schema.allOf.map((part) => sample(part, name)))
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type
  if (type === 'string') {
    if (schema.format === 'uuid') return ids[name] ?? randomUUID()
    if (schema.format === 'email') return 'someone@example.test'
    if (schema.format === 'date-time') return new Date(Date.now() + 86_400_000).toISOString()
    return 'x'.repeat(Math.max(schema.minLength ?? 1, 1))
  }
  if (type === 'integer' || type === 'number') return schema.minimum ?? 1
  if (type === 'boolean') return true
  if (type === 'array') return schema.minItems ? [sample(schema.items ?? {}, name)] : []
  const properties = Object.entries(schema.properties ?? {})
  return Object.fromEntries(
    properties.filter(([key]) => schema.required?.includes(key)).map(([key, value]) => [key, sample(value, key)]),
  )
}

async function send({ method, path, schema }: Route) {
  const inner = JSON.stringify(sample(schema)).slice(1, -1)
  const filled = path.replaceAll(/\{([^}]+)\}/g, (_, name: string) => ids[name] ?? randomUUID())
  const answer = await fixture.request(method, filled, {
    token: owner,
    // Of two equal keys the last counts: what the route asks for stays right.
    body: `{${[extra, inner].filter(Boolean).join(',')}}`,
    headers: { 'content-type': 'application/json' },
  })
  return { status: answer.status, text: await answer.text() }
}

async function wholeDatabase(): Promise<string> {
  await using superuser = openDatabase({ url: fixture.ownerUrl, poolSize: 1 })
  const tables = await superuser.sql<{ name: string }[]>`
    select tablename as name from pg_tables where schemaname = 'public'`
  const dumps = await Promise.all(
    tables.map(({ name }) =>
      superuser.sql.unsafe<{ text: string | null }[]>(`select json_agg(t)::text as text from "${name}" t`),
    ),
  )
  return dumps.map(([row]) => row?.text ?? '').join('\n')
}

test('no route that takes a body stores what it did not ask for', async () => {
  expect(routes.length).toBeGreaterThan(30)
  const taken: string[] = []
  for (const route of routes) {
    const { status, text } = await send(route)
    expect([route.id, status < 500, text.includes(STRANGE)], text).toEqual([route.id, true, false])
    if (status < 300) taken.push(route.id)
  }
  // Bodies that were all refused would prove nothing.
  expect(taken.length, taken.join(' ')).toBeGreaterThanOrEqual(15)
  const dump = await wholeDatabase()
  expect(dump).toContain(ids.appId)
  for (const strange of [STRANGE, STRANGE_HASH, String(STRANGE_NUMBER), 'polluted']) {
    expect(dump.includes(strange), strange).toBe(false)
  }
  expect(({} as Record<string, unknown>).polluted).toBeUndefined()
})
