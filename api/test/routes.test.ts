import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { problems } from '../src/problems.js'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'

type Operation = { operationId: string; security?: Record<string, string[]>[]; responses: Record<string, unknown> }

const UNKNOWN_ID = '018f0000-0000-7000-8000-000000000000'
/** Reachable by anyone: what devices ask, signed links, signing in, and pages about the API itself. */
const PUBLIC = [
  'getProvenanceKey',
  'listCheckpointKeys',
  'showBuildShare',
  'showInstallManifest',
  'downloadSharedArtifact',
  'drawQrCode',
  'checkForUpdate',
  'createPasskeyChallenge',
  'createSession',
  'createSessionCode',
  'downloadBundle',
  'downloadObject',
  'downloadPatch',
  'exchangeCiToken',
  'explainProblem',
  'getDeletionCertificate',
  'health',
  'issueDeviceToken',
  'listDeletionKeys',
  'listPlatformKeys',
  'listRoots',
  'uploadObject',
]

let fixture: Fixture
let org: TestOrganization
let routes: { method: string; path: string; operation: Operation }[]

beforeAll(async () => {
  fixture = await createFixture()
  org = await fixture.createOrganization()
  const document = fixture.app.getOpenAPI31Document({ openapi: '3.1.0', info: { title: 'x', version: '1' } })
  routes = Object.entries(document.paths ?? {}).flatMap(([path, item]) =>
    Object.entries(item as Record<string, Operation>).map(([method, operation]) => ({
      method: method.toUpperCase(),
      path: path.replaceAll(/\{[^}]+\}/g, UNKNOWN_ID),
      operation,
    })),
  )
})
afterAll(() => fixture[Symbol.asyncDispose]())

const send = (method: string, path: string, token?: string) =>
  fixture.request(method, path, { ...(token ? { token } : {}), ...(method === 'GET' ? {} : { body: {} }) })

describe('every route', () => {
  test('has an operation id of its own and a problem response', () => {
    const ids = routes.map(({ operation }) => operation.operationId)
    expect(new Set(ids).size).toBe(ids.length)
    expect(routes.length).toBeGreaterThan(15)
    for (const { operation } of routes) expect(operation.responses).toHaveProperty('default')
  })

  test('refuses an anonymous caller, but for a short list', async () => {
    const open: string[] = []
    for (const { method, path, operation } of routes) {
      const answer = await send(method, path)
      if (answer.status !== 401) open.push(operation.operationId)
      if ((operation.security ?? []).length === 0) expect(PUBLIC).toContain(operation.operationId)
    }
    expect(open.filter((id) => !PUBLIC.includes(id) && id !== 'listChannels')).toEqual([])
  })

  test('refuses a token that looks right but is unknown', async () => {
    for (const { method, path, operation } of routes) {
      if ((operation.security ?? []).length === 0) continue
      const answer = await send(method, path, `ca_${'A'.repeat(36)}`)
      expect([operation.operationId, answer.status]).toEqual([operation.operationId, 401])
    }
  })

  test('answers 404 for ids it does not know, with a problem document', async () => {
    for (const { method, path, operation } of routes) {
      if (!path.includes(UNKNOWN_ID) || !operation.security?.some((entry) => (entry.token ?? []).length > 0)) continue
      const answer = await send(method, path, org.tokens.owner)
      expect([operation.operationId, answer.status]).toEqual([operation.operationId, 404])
      expect(Object.keys(problems)).toContain((await answer.json<{ code: string }>()).code)
    }
  })
})
