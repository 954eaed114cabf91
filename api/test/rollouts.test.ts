import { launchCounts, type OpenDatabase, openDatabase, withOrg } from '@capstan/migrations'
import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { advanceRollouts } from '../src/control/advance-rollouts.js'
import type { ControlDeps } from '../src/control/control-deps.js'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import {
  android,
  type Body,
  createKeyPair,
  createLiveUpdateApp,
  type LiveUpdateApp,
  refusal,
  zipOf,
} from './live-update-app.js'

type Rollout = Body & { status: string; step: number; reason: string; decisions: Body[]; evidence: Body }
const MINUTE = 60_000

let fixture: Fixture
let org: TestOrganization
let app: LiveUpdateApp
let database: OpenDatabase
let control: ControlDeps
let now = Date.now()
let counter = 0

beforeAll(async () => {
  fixture = await createFixture({ overrides: { now: () => new Date(now) } })
  org = await fixture.createOrganization()
  database = openDatabase({ url: fixture.databaseUrl('control'), poolSize: 4 })
  control = {
    db: database.db,
    objects: fixture.deps.objects,
    log: pino({ level: 'silent' }),
    now: () => new Date(now),
  } as ControlDeps
})
beforeEach(async () => {
  app = await createLiveUpdateApp(fixture, org)
  await app.must('POST', '/channels', { name: 'production' })
})
afterAll(async () => {
  await database[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})

/** A finished build, deployed nowhere unless a channel is named. */
async function makeBuild(channelName?: string, signature?: (bytes: Uint8Array) => string) {
  counter += 1
  const content = zipOf({ 'index.html': `rolled out ${counter}` })
  const { bundle, response } = await app.publishZip(content, {
    ...(channelName === undefined ? {} : { bundle: { channelName } }),
    ...(signature === undefined ? {} : { signature: signature(content) }),
  })
  const { appDeploymentId } = await response.json<Body>()
  return { buildId: bundle.appBuildId, bundleId: bundle.id, deploymentId: appDeploymentId }
}

const plan = (appBuildId: string, more: object = {}) =>
  app.must<Rollout>('POST', '/rollouts', { appBuildId, appChannelName: 'production', ...more })
const get = (id: string) => app.must<Rollout>('GET', `/rollouts/${id}`)
const steer = (id: string, verb: string) => app.call('POST', `/rollouts/${id}/${verb}`, {})
const share = async (deploymentId: unknown) =>
  (await app.must('GET', `/deployments/${String(deploymentId)}`))['rolloutPercentage']
const bundleFor = async (device = 'phone') =>
  (await (await app.latest(android('production', device))).json<Body>()).bundleId
const steps = (...percentages: number[]) => percentages.map((percentage) => ({ percentage, dwellMinutes: 10 }))

async function advance(minutes: number): Promise<void> {
  now += minutes * MINUTE
  await advanceRollouts(control)
  await fixture.deps.published.refresh()
}

async function report(deploymentId: unknown, confirmed: number, failed: number): Promise<void> {
  await withOrg(fixture.deps.db, org.id, (tx) =>
    tx.insert(launchCounts).values({
      orgId: org.id,
      appId: app.appId,
      deploymentId: String(deploymentId),
      bucket: new Date(now),
      shard: (counter += 1) % 30_000,
      confirmed,
      failed,
    }),
  )
}

describe('a scheduled deployment', () => {
  test('starts at its time, with everything that a deployment has, and not before', async () => {
    const before = await makeBuild('production')
    const { buildId, bundleId } = await makeBuild()
    const startsAt = new Date(now + 30 * MINUTE).toISOString()
    const { id } = await plan(buildId, { startsAt, steps: [{ percentage: 1, dwellMinutes: 0 }] })
    await advance(29)
    expect(await get(id)).toMatchObject({ status: 'scheduled', appDeploymentId: null })
    expect(await bundleFor()).toBe(before.bundleId)
    await advance(1)
    const started = await get(id)
    expect(started).toMatchObject({ status: 'running', controlAppDeploymentId: before.deploymentId })
    const [newest] = await app.must<[Body]>('GET', '/deployments')
    expect(newest).toMatchObject({ id: started['appDeploymentId'], rolloutPercentage: 1, appBuildId: buildId })
    expect(started.decisions.map((made) => made['decision'])).toEqual(['started'])
    await advance(0)
    expect(await get(id)).toMatchObject({ status: 'completed' })
    expect(await app.must<Body[]>('GET', '/deployments')).toHaveLength(2)
    expect((await app.must('GET', `/bundles/latest?${android('production')}`)).bundleId).toBe(bundleId)
  })

  test('is started once by many control processes', async () => {
    const { buildId } = await makeBuild()
    const { id } = await plan(buildId, { startsAt: new Date(now + MINUTE).toISOString(), steps: steps(0.5, 1) })
    now += 2 * MINUTE
    await Promise.all([1, 2, 3, 4].map(() => advanceRollouts(control)))
    expect(await get(id)).toMatchObject({ status: 'running', step: 0 })
    expect(await app.must<Body[]>('GET', '/deployments')).toHaveLength(1)
  })

  test('that cannot start says why, and the channel stays as it is', async () => {
    const key = createKeyPair()
    await app.must('POST', '/public-keys', { pem: key.publicPem })
    const { id: channelId } = await app.must('POST', '/channels', { name: 'guarded', protected: true })
    const unsigned = await makeBuild()
    const body = { appBuildId: unsigned.buildId, appChannelName: 'guarded' }
    await refusal(await app.call('POST', '/rollouts', body), 422, 'channel-protected')
    const signed = await makeBuild(undefined, (bytes) => key.sign(bytes))
    const startsAt = new Date(now + MINUTE).toISOString()
    const [good, bad] = [
      await plan(signed.buildId, { appChannelName: 'guarded', startsAt }),
      await plan(unsigned.buildId, { startsAt }),
    ]
    // Protected since it was planned.
    const { id: production } = (await app.must<[Body]>('GET', '/channels?name=production'))[0]
    await app.must('PATCH', `/channels/${production}`, { protected: true })
    await advance(2)
    expect(await get(good.id)).toMatchObject({ status: 'running', appChannelId: channelId })
    const failed = await get(bad.id)
    expect(failed).toMatchObject({ status: 'failed', appDeploymentId: null })
    expect(failed.reason).toContain('is protected')
    expect(failed.decisions).toMatchObject([{ decision: 'failed' }])
    await refusal(await app.latest(android('production')), 404, 'no-update')
  })
})

describe('a ladder', () => {
  test('climbs step by step, each in its time, and records why', async () => {
    await makeBuild('production')
    const { buildId } = await makeBuild()
    const { id, appDeploymentId } = await plan(buildId, { steps: steps(0.01, 0.05, 0.25, 1) })
    expect(await share(appDeploymentId)).toBe(0.01)
    for (const [step, percentage] of [
      [1, 0.05],
      [2, 0.25],
      [3, 1],
    ]) {
      await advance(9)
      expect(await get(id)).toMatchObject({ step: (step ?? 0) - 1 })
      await advance(1)
      expect(await get(id)).toMatchObject({ status: 'running', step })
      expect(await share(appDeploymentId)).toBe(percentage)
    }
    await advance(10)
    const done = await get(id)
    expect(done).toMatchObject({ status: 'completed', endedAt: expect.any(String) as string })
    expect(done.decisions.map((made) => made['decision'])).toEqual([
      'started',
      'advanced',
      'advanced',
      'advanced',
      'completed',
    ])
    expect(done.decisions.at(1)).toMatchObject({
      step: 1,
      decidedBy: null,
      evidence: { candidate: { confirmed: 0, failed: 0 }, threshold: expect.closeTo(Math.log(200)) as number },
    })
  })

  test('is the usual one unless steps are named', async () => {
    const { buildId } = await makeBuild()
    const made = await plan(buildId)
    expect(made['steps']).toEqual([0.01, 0.05, 0.25, 1].map((percentage) => ({ percentage, dwellMinutes: 60 })))
  })

  test('waits for launches where it must, and while its channel is paused', async () => {
    const { buildId } = await makeBuild()
    const { id, appDeploymentId } = await plan(buildId, { steps: steps(0.1, 1), haltRule: { minimumLaunches: 50 } })
    await report(appDeploymentId, 49, 0)
    await advance(100)
    expect(await get(id)).toMatchObject({ step: 0 })
    await report(appDeploymentId, 1, 0)
    const [channel] = await app.must<[Body]>('GET', '/channels?name=production')
    await app.must('POST', `/channels/${channel.id}/pause`, {})
    await advance(1)
    expect(await get(id)).toMatchObject({ step: 0 })
    await app.must('POST', `/channels/${channel.id}/resume`, {})
    await advance(1)
    expect(await get(id)).toMatchObject({ step: 1 })
  })

  test('halts by itself when launches fail more often than before, and devices get the bundle before', async () => {
    const before = await makeBuild('production')
    await report(before.deploymentId, 9_900, 100)
    const { buildId, bundleId } = await makeBuild()
    const { id, appDeploymentId } = await plan(buildId, { steps: steps(0.5, 1) })
    const devices = Array.from({ length: 60 }, (_, index) => `phone-${index}`)
    const all = () => Promise.all(devices.map((device) => bundleFor(device)))
    expect(new Set(await all())).toEqual(new Set([before.bundleId, bundleId]))
    await report(appDeploymentId, 980, 10)
    await advance(1)
    expect(await get(id)).toMatchObject({ status: 'running' })
    await report(appDeploymentId, 400, 100)
    await advance(1)
    const halted = await get(id)
    expect(halted).toMatchObject({ status: 'halted', step: 0 })
    expect(halted.reason).toMatch(/110 of 1490, 100 of 10000 of the control\. Evidence \d+\.\d+ reached 5\.30/)
    expect(halted.decisions.at(-1)).toMatchObject({
      decision: 'halted',
      evidence: {
        halt: true,
        candidate: { confirmed: 1380, failed: 110 },
        control: { confirmed: 9900, failed: 100 },
      },
    })
    expect(await share(appDeploymentId)).toBe(0)
    expect(new Set(await all())).toEqual(new Set([before.bundleId]))
    await advance(1000)
    expect(await get(id)).toMatchObject({ status: 'halted' })
  })

  test('halts also when it is paused, and when there is nothing before it', async () => {
    const { buildId } = await makeBuild()
    const { id, appDeploymentId } = await plan(buildId, { steps: steps(0.5, 1) })
    expect((await steer(id, 'pause')).status).toBe(200)
    await report(appDeploymentId, 10, 40)
    await advance(1)
    const halted = await get(id)
    expect(halted).toMatchObject({ status: 'halted', controlAppDeploymentId: null })
    expect(halted.reason).toContain('ceiling')
  })

  test('ends when the channel gets another deployment, whose share is its own', async () => {
    const { buildId } = await makeBuild()
    const { id, appDeploymentId } = await plan(buildId, { steps: steps(0.5, 1) })
    const next = await makeBuild('production')
    const ended = await get(id)
    expect(ended).toMatchObject({ status: 'superseded' })
    expect(ended.decisions.at(-1)).toMatchObject({ decision: 'superseded' })
    await advance(100)
    expect(await share(appDeploymentId)).toBe(0.5)
    expect(await share(next.deploymentId)).toBe(1)
    const other = await plan(buildId, { steps: steps(0.2, 1) })
    const third = await plan(buildId, { steps: steps(0.3, 1) })
    expect(await get(other.id)).toMatchObject({ status: 'superseded' })
    expect(await get(third.id)).toMatchObject({ status: 'running' })
  })
})

describe('a person', () => {
  test('pauses, resumes and aborts whatever the numbers say', async () => {
    const before = await makeBuild('production')
    const { buildId } = await makeBuild()
    const { id, appDeploymentId } = await plan(buildId, { steps: steps(0.5, 1) })
    expect((await steer(id, 'pause')).status).toBe(200)
    expect((await steer(id, 'pause')).status).toBe(200)
    await advance(100)
    expect(await get(id)).toMatchObject({ status: 'paused', step: 0 })
    expect((await steer(id, 'resume')).status).toBe(200)
    await advance(9)
    expect(await get(id)).toMatchObject({ status: 'running', step: 0 })
    await advance(1)
    expect(await get(id)).toMatchObject({ step: 1 })
    expect((await steer(id, 'abort')).status).toBe(200)
    expect(await share(appDeploymentId)).toBe(0)
    expect(await bundleFor()).toBe(before.bundleId)
    for (const verb of ['pause', 'resume']) await refusal(await steer(id, verb), 409, 'rollout-transition-refused')
    const { decisions } = await get(id)
    expect(decisions.map((made) => made['decision'])).toEqual(['started', 'paused', 'resumed', 'advanced', 'aborted'])
    expect(decisions.at(-1)).toMatchObject({ decidedBy: org.userIds.admin })
  })

  test('resumes a halted rollout: what was judged counts no more, what comes then does', async () => {
    const { buildId } = await makeBuild()
    const { id, appDeploymentId } = await plan(buildId, { steps: steps(0.5, 1) })
    await report(appDeploymentId, 0, 50)
    await advance(1)
    expect(await get(id)).toMatchObject({ status: 'halted' })
    expect((await steer(id, 'resume')).status).toBe(200)
    expect(await share(appDeploymentId)).toBe(0.5)
    await advance(1)
    expect(await get(id)).toMatchObject({ status: 'running', evidence: { candidate: { confirmed: 0, failed: 0 } } })
    await report(appDeploymentId, 0, 50)
    await advance(1)
    expect(await get(id)).toMatchObject({ status: 'halted' })
  })

  test('holds a scheduled rollout back', async () => {
    const { buildId } = await makeBuild()
    const startsAt = new Date(now + MINUTE).toISOString()
    const [held, dropped] = [await plan(buildId, { startsAt }), await plan(buildId, { startsAt })]
    await steer(held.id, 'pause')
    await steer(dropped.id, 'abort')
    await advance(5)
    expect(await get(held.id)).toMatchObject({ status: 'paused', appDeploymentId: null })
    await steer(held.id, 'resume')
    await advance(0)
    expect(await get(held.id)).toMatchObject({ status: 'running' })
    expect(await get(dropped.id)).toMatchObject({ status: 'aborted', appDeploymentId: null })
  })

  test('does not change the share of devices beside a rollout, and does once it has ended', async () => {
    const { buildId } = await makeBuild()
    const { id, appDeploymentId } = await plan(buildId, { steps: steps(0.5, 1) })
    const patch = () => app.call('PATCH', `/deployments/${appDeploymentId}`, { rolloutPercentage: 0.7 })
    expect(await refusal(await patch(), 409, 'rollout-in-charge')).toContain(id)
    await steer(id, 'abort')
    expect((await patch()).status).toBe(200)
  })
})

describe('a plan', () => {
  test.each([
    ['steps that do not grow', { steps: steps(0.5, 0.5) }, /steps\.1\.percentage/],
    ['no step', { steps: [] }, /steps/],
    ['a step for nobody', { steps: steps(0) }, /percentage/],
    ['a step beyond everybody', { steps: steps(1.5) }, /percentage/],
    ['a start in two years', { startsAt: new Date(Date.now() + 2 * 365 * 86_400_000).toISOString() }, /a year/],
    ['a certain false alarm', { haltRule: { falseAlarms: 1 } }, /falseAlarms/],
    ['no channel', { appChannelName: undefined }, /appChannelName/],
  ])('with %s is refused', async (_what, more, sentence) => {
    const { buildId } = await makeBuild()
    const body = { appBuildId: buildId, appChannelName: 'production', ...more }
    expect(await refusal(await app.call('POST', '/rollouts', body), 422, 'request-invalid')).toMatch(sentence)
    expect(await app.must('GET', '/rollouts')).toEqual([])
  })

  test('is made and steered by developers, read by viewers, and hidden from strangers', async () => {
    const { buildId } = await makeBuild()
    const body = { appBuildId: buildId, appChannelName: 'production' }
    await refusal(await app.call('POST', '/rollouts', body, org.tokens.viewer), 403, 'permission-missing')
    const made = await app.call('POST', '/rollouts', body, org.tokens.member)
    const { id } = await made.json<Body>()
    await refusal(await app.call('POST', `/rollouts/${id}/abort`, {}, org.tokens.viewer), 403, 'permission-missing')
    expect((await app.call('GET', `/rollouts/${id}`, undefined, org.tokens.viewer)).status).toBe(200)
    const rival = await fixture.createOrganization()
    await refusal(await app.call('GET', `/rollouts/${id}`, undefined, rival.tokens.owner), 404, 'not-found')
    const other = await createLiveUpdateApp(fixture, org)
    await refusal(await other.call('POST', `/rollouts/${id}/abort`, {}), 404, 'not-found')
    expect((await app.call('POST', `/rollouts/${id}/abort`, {}, org.tokens.member)).status).toBe(200)
  })
})
