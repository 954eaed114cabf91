import { execFile } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { artifacts, builds, withOrg } from '@capstan/migrations'
import { importPlatformSigner, sealEnvelope } from '@capstan/sdk/release'
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  auditActions,
  claimed,
  createTestApp,
  queueBuild,
  sha256,
  sourceZip,
  storeArtifact,
  type TestApp,
  underLease,
} from './build-fixture.js'
import { createFixture, type Fixture } from './fixture.js'
import { type BrokerSocketPaths, chooseSockets, startTestBroker, type TestBroker } from './test-broker.js'

let fixture: Fixture
let sockets: BrokerSocketPaths
let broker: TestBroker
let app: TestApp
let made: { buildId: string; artifactId: string; path: string }
let envelope: { payloadType: string; payload: string; signatures: { keyid: string; sig: string }[] }
const bytes = sourceZip('made by the build')
const inFolder = (name: string) => join(fixture.folder, name)
const capstan = fileURLToPath(new URL('../../sdk/bin/capstan.js', import.meta.url))

beforeAll(async () => {
  sockets = await chooseSockets()
  fixture = await createFixture({ sealSocket: sockets.sealSocket })
  broker = await startTestBroker(fixture, sockets)
  app = await createTestApp(fixture)
  const worker = await fixture.createWorker()
  const build = await queueBuild(fixture, app)
  const claim = await claimed(fixture, worker, build.id)
  const artifactId = await storeArtifact(fixture, claim, bytes)
  const path = `/v1/apps/${app.id}/builds/${build.id}/artifacts/${artifactId}/provenance`
  made = { buildId: build.id, artifactId, path }
  expect((await ask()).status).toBe(503)
  await underLease(fixture, claim, 'finish', { status: 'succeeded' })
  envelope = await (await ask()).json()
  const key = await (await fixture.request('GET', '/v1/provenance-key')).json<{ publicKeyPem: string }>()
  await writeFile(inFolder('key.pem'), key.publicKeyPem)
  await writeFile(inFolder('web.zip'), bytes)
})
afterAll(async () => {
  await broker[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})

const ask = (token = app.token) => fixture.request('GET', made.path, { token })
const statement = () => JSON.parse(Buffer.from(envelope.payload, 'base64').toString('utf8')) as Record<string, unknown>

async function verify(document: unknown, ...options: string[]): Promise<{ code: number; said: string }> {
  await writeFile(inFolder('provenance.json'), JSON.stringify(document))
  const args = [capstan, 'verify-artifact', inFolder('web.zip'), '--provenance', inFolder('provenance.json')]
  return new Promise((resolve) => {
    execFile(process.execPath, [...args, '--key', inFolder('key.pem'), ...options], (error, stdout, stderr) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, said: stdout + stderr }),
    )
  })
}

test('is stated when the build succeeds, once, with its audit event', async () => {
  expect(statement()).toMatchObject({
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: 'web.zip', digest: { sha256: sha256(bytes) } }],
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: {
      buildDefinition: {
        externalParameters: { app: app.id, platform: 'web' },
        internalParameters: { build: made.buildId, attempt: 1 },
        resolvedDependencies: [{ digest: { sha256: sha256(sourceZip()) } }],
      },
      runDetails: { builder: { id: expect.stringContaining('http://capstan.test/workers/') as string } },
    },
  })
  expect(await (await ask()).json()).toEqual(envelope)
  const actions = await auditActions(fixture, app.org.id)
  expect(actions.filter((action) => action === 'artifact.provenance_signed')).toHaveLength(1)
  expect((await ask((await fixture.createOrganization()).tokens.owner)).status).toBe(404)
})

test('does not change when somebody changes the rows afterwards', async () => {
  await withOrg(fixture.deps.db, app.org.id, async (tx) => {
    await tx.update(artifacts).set({ fileName: 'other.zip' }).where(eq(artifacts.id, made.artifactId))
    await tx
      .update(builds)
      .set({ git: { commitSha: 'f'.repeat(40) } })
      .where(eq(builds.id, made.buildId))
  })
  expect(await (await ask()).json()).toEqual(envelope)
})

describe('verify-artifact', () => {
  test('accepts the file that was built, offline', async () => {
    const { code, said } = await verify(envelope, '--app', app.id, '--builder', 'http://capstan.test')
    expect(said).toContain(`verified: SHA-256 ${sha256(bytes)}`)
    expect(code).toBe(0)
  })

  test.each([
    ['another app', 'WRONG_APP', ['--app', '00000000-0000-7000-8000-000000000000']],
    ['another commit', 'WRONG_COMMIT', ['--commit', 'a'.repeat(40)]],
    ['another platform', 'WRONG_BUILDER', ['--builder', 'http://capstan.test.evil.example']],
  ])('refuses %s', async (_name, code, options) => {
    expect(await verify(envelope, ...options)).toMatchObject({ code: 1, said: expect.stringContaining(code) as string })
  })

  const forged = (change: (text: string) => string) =>
    Buffer.from(change(Buffer.from(envelope.payload, 'base64').toString('utf8'))).toString('base64')
  test.each<[string, () => unknown, string]>([
    [
      'a payload that was changed',
      () => ({ ...envelope, payload: forged((text) => text.replace('web', 'wed')) }),
      'BAD_SIGNATURE',
    ],
    ['no signature', () => ({ ...envelope, signatures: [] }), 'SIGNATURE_MISSING'],
    ['an empty signature', () => ({ ...envelope, signatures: [{ keyid: '', sig: '' }] }), 'SIGNATURE_MISSING'],
    ['another type', () => ({ ...envelope, payloadType: 'application/vnd.capstan.release+json' }), 'ENVELOPE_TYPE'],
    ['something that is no envelope', () => [], 'ENVELOPE_MALFORMED'],
  ])('refuses %s', async (_name, make, code) => {
    expect(await verify(make())).toMatchObject({ code: 1, said: expect.stringContaining(code) as string })
  })

  test('refuses a statement by another key, and by the right key about something else', async () => {
    const payload = Buffer.from(envelope.payload, 'base64')
    const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    const other = await sealEnvelope(envelope.payloadType, payload, [await importPlatformSigner(pem, 'x')])
    expect(await verify(other)).toMatchObject({ code: 1, said: expect.stringContaining('BAD_SIGNATURE') as string })
    await writeFile(inFolder('web.zip'), sourceZip('something else'))
    const mismatch = await verify(envelope)
    await writeFile(inFolder('web.zip'), bytes)
    expect(mismatch).toMatchObject({ code: 1, said: expect.stringContaining('HASH_MISMATCH') as string })
  })
})
