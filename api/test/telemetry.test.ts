import { deviceTokens, launchCounts, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createToken } from '../src/auth/tokens.js'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import { type Body, createLiveUpdateApp, type LiveUpdateApp, refusal, zipOf } from './live-update-app.js'

let fixture: Fixture
let org: TestOrganization
let app: LiveUpdateApp
let bundleId: string
let deploymentId: string
let counter = 0
let frozen: Date | null = null

beforeAll(async () => {
  fixture = await createFixture({ overrides: { now: () => frozen ?? new Date() } })
  org = await fixture.createOrganization()
})
beforeEach(async () => {
  app = await createLiveUpdateApp(fixture, org)
  await app.must('POST', '/channels', { name: 'production' })
  ;({ bundleId, deploymentId } = await deploy())
})
afterAll(() => fixture[Symbol.asyncDispose]())

async function deploy() {
  counter += 1
  const content = zipOf({ 'index.html': `launched ${counter}` })
  const { bundle, response } = await app.publishZip(content, { bundle: { channelName: 'production' } })
  return { bundleId: bundle.id, deploymentId: (await response.json<Body>()).appDeploymentId }
}

async function bind(deviceId: string, at: LiveUpdateApp = app): Promise<string> {
  const answer = await at.call('POST', '/device-tokens', { deviceId }, null)
  expect(answer.status).toBe(201)
  return (await answer.json<{ token: string }>()).token
}
const report = (token: string, ...results: object[]) => app.call('POST', '/telemetry', { results }, token)

async function tally(deployment = deploymentId) {
  const rows = await withOrg(fixture.deps.db, org.id, (tx) =>
    tx.select().from(launchCounts).where(eq(launchCounts.deploymentId, deployment)),
  )
  const sum = (of: 'confirmed' | 'failed' | 'blocked') => rows.reduce((total, row) => total + row[of], 0)
  return { confirmed: sum('confirmed'), failed: sum('failed'), blocked: sum('blocked') }
}

describe('a device token', () => {
  test('is given out once for a device, and only its HMAC is kept', async () => {
    const token = await bind('phone')
    expect(token).toMatch(/^cd_[0-9A-Za-z]{36}$/)
    await refusal(await app.call('POST', '/device-tokens', { deviceId: 'phone' }, null), 409, 'device-token-taken')
    const rows = await withOrg(fixture.deps.db, org.id, (tx) =>
      tx.select().from(deviceTokens).where(eq(deviceTokens.appId, app.appId)),
    )
    expect(rows).toHaveLength(1)
    expect(JSON.stringify(rows)).not.toContain(token)
    const other = await createLiveUpdateApp(fixture, org)
    expect(await bind('phone', other)).not.toBe(token)
  })

  test('of one device is given to one of many that ask at once', async () => {
    const ask = () => app.call('POST', '/device-tokens', { deviceId: 'race' }, null)
    const answers = await Promise.all(Array.from({ length: 8 }, ask))
    expect(answers.map(({ status }) => status).toSorted((one, other) => one - other)).toEqual([
      201,
      ...Array.from({ length: 7 }, () => 409),
    ])
  })

  test('is forgotten with its device, which may then ask anew', async () => {
    await app.latest(`platform=0&channelName=production&deviceId=phone`)
    const token = await bind('phone')
    await app.must('DELETE', '/devices/phone')
    await refusal(await report(token, { bundleId, outcome: 'confirmed' }), 401, 'token-invalid')
    expect(await bind('phone')).not.toBe(token)
  })

  test('is not given to an app that does not exist, nor for an id that is none', async () => {
    const unknown = '/v1/apps/018f0000-0000-7000-8000-000000000000/device-tokens'
    expect((await fixture.request('POST', unknown, { body: { deviceId: 'x' } })).status).toBe(404)
    await refusal(await app.call('POST', '/device-tokens', { deviceId: '' }, null), 422, 'request-invalid')
    await refusal(await app.call('POST', '/device-tokens', { deviceId: 'x'.repeat(129) }, null), 422, 'request-invalid')
  })
})

describe('a report', () => {
  test('counts a device once for a bundle, by what it says first', async () => {
    const token = await bind('phone')
    const answer = await report(token, { bundleId, outcome: 'confirmed' })
    expect(answer.status).toBe(202)
    expect(await answer.json()).toEqual({ counted: 1 })
    for (const outcome of ['confirmed', 'failed', 'blocked']) {
      expect(await (await report(token, { bundleId, outcome })).json()).toEqual({ counted: 0 })
    }
    expect(await tally()).toEqual({ confirmed: 1, failed: 0, blocked: 0 })
    expect((await report(await bind('other'), { bundleId, outcome: 'failed' })).status).toBe(202)
    expect(await tally()).toEqual({ confirmed: 1, failed: 1, blocked: 0 })
  })

  test('of many devices at once loses none and counts none twice', async () => {
    const tokens = await Promise.all(Array.from({ length: 20 }, (_, index) => bind(`phone-${index}`)))
    await Promise.all(
      [...tokens, ...tokens].map((token, index) =>
        report(token, { bundleId, outcome: index % 20 < 5 ? 'blocked' : 'confirmed' }),
      ),
    )
    expect(await tally()).toEqual({ confirmed: 15, failed: 0, blocked: 5 })
  })

  test('of several bundles goes to the deployment of each: the named one, else the newest', async () => {
    const again = await app.must('POST', '/deployments', {
      appBuildId: (await app.must<Body[]>('GET', '/deployments'))[0]?.appBuildId,
      appChannelName: 'production',
    })
    const second = await deploy()
    const token = await bind('phone')
    await report(
      token,
      { bundleId, deploymentId, outcome: 'failed' },
      { bundleId: second.bundleId, outcome: 'confirmed' },
    )
    await report(await bind('other'), { bundleId, outcome: 'confirmed' })
    // A deployment of another bundle does not take this one's report.
    await report(await bind('third'), { bundleId, deploymentId: second.deploymentId, outcome: 'confirmed' })
    expect(await tally()).toEqual({ confirmed: 0, failed: 1, blocked: 0 })
    expect(await tally(again.id)).toEqual({ confirmed: 2, failed: 0, blocked: 0 })
    expect(await tally(second.deploymentId)).toEqual({ confirmed: 1, failed: 0, blocked: 0 })
  })

  test('of a bundle that this app never deployed counts nothing', async () => {
    const other = await createLiveUpdateApp(fixture, org)
    const token = await bind('phone', other)
    const answer = await other.call('POST', '/telemetry', { results: [{ bundleId, outcome: 'failed' }] }, token)
    expect(await answer.json()).toEqual({ counted: 0 })
    expect(await tally()).toEqual({ confirmed: 0, failed: 0, blocked: 0 })
  })

  test('needs the token of a device of this app', async () => {
    const result = { bundleId, outcome: 'confirmed' }
    const other = await createLiveUpdateApp(fixture, org)
    await refusal(await app.call('POST', '/telemetry', { results: [result] }, null), 401, 'token-missing')
    await refusal(await report(createToken('cd'), result), 401, 'token-invalid')
    await refusal(await report(await bind('phone', other), result), 401, 'token-invalid')
    await refusal(await report(org.tokens.owner, result), 401, 'token-invalid')
    const token = await bind('phone')
    await refusal(await report(`${token.slice(0, -1)}${token.endsWith('A') ? 'B' : 'A'}`, result), 401, 'token-invalid')
    expect((await report(token, result)).status).toBe(202)
    // What a device holds opens nothing else.
    await refusal(await app.call('GET', '/devices', undefined, token), 401, 'token-invalid')
  })

  test('is bounded in items, in bytes and in how often it comes', async () => {
    const token = await bind('phone')
    const result = { bundleId, outcome: 'confirmed' }
    await refusal(await report(token), 422, 'request-invalid')
    await refusal(await report(token, ...Array.from({ length: 33 }, () => result)), 422, 'request-invalid')
    await refusal(await report(token, { ...result, outcome: 'great' }), 422, 'request-invalid')
    await refusal(await report(token, { ...result, filling: 'x'.repeat(70_000) }), 413, 'request-too-large')
    frozen = new Date()
    const answers = []
    for (let index = 0; index < 12; index += 1) answers.push((await report(token, result)).status)
    expect(answers.slice(0, 10)).toEqual(Array.from({ length: 10 }, () => 202))
    expect(answers.slice(10)).toEqual([429, 429])
    expect((await report(await bind('other'), result)).status).toBe(202)
    frozen = null
  })
})
