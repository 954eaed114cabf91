import { credentialVersions, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { addCertificate, createTestApp, type TestApp, uploadSource } from '../build-fixture.js'
import { createFixture, type Fixture } from '../fixture.js'
import { median, report, rounded } from './report.js'

const ROUNDS = 100
let fixture: Fixture
let app: TestApp
beforeAll(async () => {
  fixture = await createFixture()
  app = await createTestApp(fixture)
})
afterAll(() => fixture[Symbol.asyncDispose]())

test('a build whose certificate has expired is refused, against the answer to a request that reads one row', async () => {
  const appBuildSourceId = await uploadSource(fixture, app)
  const appCertificateId = await addCertificate(fixture, app, 'Expired')
  await withOrg(fixture.deps.db, app.org.id, (tx) =>
    tx
      .update(credentialVersions)
      .set({ expiresAt: new Date(0) })
      .where(eq(credentialVersions.credentialId, appCertificateId)),
  )
  const { token } = app
  const body = { platform: 'android', type: 'release', appBuildSourceId, appCertificateId }
  const timed = async (expected: number, request: () => Promise<{ status: number }>) => {
    const start = performance.now()
    expect((await request()).status).toBe(expected)
    return performance.now() - start
  }
  const [refused, read]: [number[], number[]] = [[], []]
  for (let round = 0; round < ROUNDS; round += 1) {
    read.push(await timed(200, () => fixture.request('GET', `/v1/apps/${app.id}`, { token })))
    refused.push(await timed(422, () => fixture.request('POST', `/v1/apps/${app.id}/builds`, { token, body })))
  }
  report({
    name: 'pre-flight',
    rounds: ROUNDS,
    refusedP50Ms: rounded(median(refused), 1),
    refusedWorstMs: rounded(Math.max(...refused), 1),
    readP50Ms: rounded(median(read), 1),
    ratio: rounded(median(refused) / median(read), 2),
  })
})
