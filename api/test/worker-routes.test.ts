import { randomUUID } from 'node:crypto'
import { jobPhases, leases, withOrg } from '@capstan/migrations'
import { type ArtifactUpload, Claim, FinishReport, type LogBatch } from '@capstan/migrations/messages'
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Context } from '../src/context.js'
import { appendLogs } from '../src/worker-routes/append-logs.js'
import { finishBuild } from '../src/worker-routes/finish-build.js'
import {
  auditActions,
  claim,
  claimed,
  createTestApp,
  declarationOf,
  jobOf,
  line,
  queueBuild,
  sha256,
  sourceZip,
  storeArtifact,
  type TestApp,
  type TestBuild,
  type TestWorker,
  underLease,
} from './build-fixture.js'
import { type Answer, createFixture, type Fixture } from './fixture.js'

let fixture: Fixture
let app: TestApp
let worker: TestWorker
let now = Date.now()

beforeAll(async () => {
  fixture = await createFixture({ overrides: { now: () => new Date(now) } })
  app = await createTestApp(fixture)
  worker = await fixture.createWorker()
})
afterAll(() => fixture[Symbol.asyncDispose]())

const bytes = new Uint8Array(Buffer.from('output'))
const codeOf = async (answer: Answer) => (await answer.json<{ code: string }>()).code
async function start(body: Record<string, unknown> = {}): Promise<{ build: TestBuild; taken: Claim }> {
  const build = await queueBuild(fixture, app, body)
  return { build, taken: await claimed(fixture, worker, build.id) }
}
const phasesOf = (build: TestBuild) =>
  withOrg(fixture.deps.db, app.org.id, (tx) =>
    tx.select().from(jobPhases).where(eq(jobPhases.jobId, build.jobId)).orderBy(jobPhases.startedAt),
  )
const logOf = async (build: TestBuild) =>
  ((await jobOf(fixture, build, 'jobLogs')).jobLogs as { number: number; payload: string }[]).map((entry) => [
    entry.number,
    entry.payload,
  ])

describe('claiming', () => {
  test('gives a lease and a spec whose source can be fetched', async () => {
    const { build, taken } = await start()
    expect(Claim.safeParse(taken).success).toBe(true)
    expect(taken.attempt).toBe(1)
    expect(taken.lease.token).toMatch(/^cl_[0-9A-Za-z]{36}$/)
    const source = await fixture.request('GET', new URL(taken.spec.source.url).pathname)
    expect(sha256(new Uint8Array(await source.arrayBuffer()))).toBe(sha256(sourceZip()))
    expect(taken.spec.source).toMatchObject({
      kind: 'archive',
      sha256: sha256(sourceZip()),
      sizeBytes: sourceZip().length,
    })
    expect(await jobOf(fixture, build)).toMatchObject({ status: 'in_progress', attempt: 1 })
    expect(await auditActions(fixture, app.org.id)).toContain('build.claimed')
  })

  test('stores the token only as a hash', async () => {
    const { taken } = await start()
    const [row] = await withOrg(fixture.deps.db, app.org.id, (tx) =>
      tx.select().from(leases).where(eq(leases.id, taken.lease.id)),
    )
    expect(row?.tokenHash).toMatch(/^[0-9a-f]{64}$/)
    expect(JSON.stringify(row)).not.toContain(taken.lease.token)
  })

  test('is won by one of many workers', async () => {
    const build = await queueBuild(fixture, app)
    const workers = await Promise.all(Array.from({ length: 6 }, () => fixture.createWorker()))
    const answers = await Promise.all(workers.map((each) => claim(fixture, each, build.id)))
    const statuses = answers.map((answer) => answer.status).toSorted((a, b) => a - b)
    expect(statuses).toEqual([200, 409, 409, 409, 409, 409])
    expect(await jobOf(fixture, build)).toMatchObject({ attempt: 1 })
  })

  test('sent again after a lost answer gives the same attempt under a new token; to anyone else, nothing', async () => {
    const build = await queueBuild(fixture, app)
    const nonce = randomUUID()
    const send = (by: TestWorker, with_: string) =>
      fixture.request('POST', `/worker/v1/builds/${build.id}/claim`, {
        token: by.token,
        body: { worker: 'test-worker', capabilities: ['web'], nonce: with_ },
      })
    const lost = await (await send(worker, nonce)).json<Claim>()
    expect((await send(worker, randomUUID())).status).toBe(409)
    expect((await send(await fixture.createWorker(), nonce)).status).toBe(409)
    const again = await (await send(worker, nonce)).json<Claim>()
    expect([again.attempt, again.lease.id]).toEqual([1, lost.lease.id])
    expect((await underLease(fixture, again, 'heartbeat')).status).toBe(200)
    expect((await underLease(fixture, lost, 'heartbeat')).status).toBe(401)
    expect(await jobOf(fixture, build)).toMatchObject({ status: 'in_progress', attempt: 1 })
  })

  test('is refused to people, to leases, and for unknown or canceled builds', async () => {
    const { taken } = await start()
    const build = await queueBuild(fixture, app)
    expect((await claim(fixture, { id: '', token: app.token }, build.id)).status).toBe(401)
    expect((await claim(fixture, { id: '', token: taken.lease.token }, build.id)).status).toBe(401)
    expect((await claim(fixture, worker, '018f0000-0000-7000-8000-000000000000')).status).toBe(404)
    await fixture.request('PATCH', `/v1/jobs/${build.jobId}`, { token: app.token, body: { status: 'canceled' } })
    expect(await codeOf(await claim(fixture, worker, build.id))).toBe('build-not-claimable')
  })
})

describe('a lease', () => {
  test('lives on with heartbeats and is lost without', async () => {
    const { taken } = await start()
    now += 50_000
    const beat = await underLease(fixture, taken, 'heartbeat')
    expect(await beat.json()).toEqual({ expiresAt: new Date(now + 60_000).toISOString(), cancelRequested: false })
    now += 50_000
    expect((await underLease(fixture, taken, 'heartbeat')).status).toBe(200)
    now += 60_000
    const late = await underLease(fixture, taken, 'heartbeat')
    expect(late.status).toBe(409)
    expect(await codeOf(late)).toBe('lease-lost')
  })

  test('tells the worker that the build was canceled', async () => {
    const { build, taken } = await start()
    const cancel = { token: app.token, body: { status: 'canceled' } }
    const answer = await fixture.request('PATCH', `/v1/jobs/${build.jobId}`, cancel)
    expect(await answer.json()).toMatchObject({ status: 'in_progress' })
    expect(await (await underLease(fixture, taken, 'heartbeat')).json()).toMatchObject({ cancelRequested: true })
    await underLease(fixture, taken, 'finish', { status: 'canceled', code: 'canceled', message: 'Stopped.' })
    expect(await jobOf(fixture, build)).toMatchObject({ status: 'canceled', canceledAt: expect.any(String) })
    expect(await auditActions(fixture, app.org.id)).toEqual(
      expect.arrayContaining(['build.cancel_requested', 'build.canceled']),
    )
  })

  test('fences every call of an attempt that was given to another worker', async () => {
    const { build, taken } = await start()
    const declared = await (await underLease(fixture, taken, 'artifacts', declarationOf(bytes))).json<ArtifactUpload>()
    await underLease(fixture, taken, 'finish', { status: 'failed', code: 'worker-stopped', retryable: true })
    const next = await claimed(fixture, await fixture.createWorker(), build.id)
    expect(next.attempt).toBe(2)
    const calls: [string, unknown][] = [
      ['heartbeat', {}],
      ['phases', { phase: 'compile', state: 'started', at: new Date().toISOString() }],
      ['logs', { batch: 9, lines: [line('zombie')] }],
      ['artifacts', declarationOf(bytes, 'zombie.zip')],
      [`artifacts/${declared.artifactId}/finalize`, {}],
      ['finish', { status: 'succeeded' }],
    ]
    for (const [path, body] of calls) {
      const refused = await underLease(fixture, taken, path, body)
      expect([path, refused.status, await codeOf(refused)]).toEqual([path, 409, 'lease-lost'])
    }
    expect(await jobOf(fixture, build)).toMatchObject({ status: 'in_progress', attempt: 2 })
    expect(JSON.stringify(await logOf(build))).not.toContain('zombie')
    await storeArtifact(fixture, next, bytes)
    expect((await underLease(fixture, next, 'finish', { status: 'succeeded' })).status).toBe(204)
  })

  test('is looked at again inside the transaction of every write, not only at the door', async () => {
    const { build, taken } = await start()
    const ctx: Context = {
      ...fixture.deps,
      orgId: app.org.id,
      actor: { type: 'worker', id: worker.id },
      requestId: 'test',
    }
    const lease = {
      id: taken.lease.id,
      orgId: app.org.id,
      jobId: build.jobId,
      buildId: build.id,
      attempt: 1,
      workerId: worker.id,
    }
    const later = { ...ctx, now: () => new Date(now + 61_000) }
    const batch = { batch: 1, lines: [line('late')] } as LogBatch
    await expect(appendLogs(later, lease, batch)).rejects.toMatchObject({ code: 'lease-lost' })
    await expect(finishBuild(later, lease, FinishReport.parse({ status: 'failed' }))).rejects.toMatchObject({
      code: 'lease-lost',
    })
    await expect(appendLogs(ctx, { ...lease, attempt: 2 }, batch)).rejects.toMatchObject({ code: 'lease-lost' })
    await appendLogs(ctx, lease, batch)
    expect(await logOf(build)).toEqual([[1, 'late']])
  })

  test('cannot be used with a worker token, nor a made-up one', async () => {
    for (const token of [worker.token, app.token, `cl_${'0'.repeat(36)}`]) {
      expect((await fixture.request('POST', '/worker/v1/lease/heartbeat', { token, body: {} })).status).toBe(401)
    }
  })
})

describe('logs', () => {
  test('are numbered from 1 without gaps, and a batch sent twice is stored once', async () => {
    const { build, taken } = await start()
    const first = { batch: 1, lines: [line('a'), line('b')] }
    const second = { batch: 2, lines: [line('c')] }
    for (const batch of [first, first, second, first]) await underLease(fixture, taken, 'logs', batch)
    const together = [3, 4, 5, 3].map((batch) =>
      underLease(fixture, taken, 'logs', { batch, lines: [line(`x${batch}`)] }),
    )
    expect((await Promise.all(together)).map((answer) => answer.status)).toEqual([204, 204, 204, 204])
    const log = await logOf(build)
    expect(log.slice(0, 3)).toEqual([
      [1, 'a'],
      [2, 'b'],
      [3, 'c'],
    ])
    expect(log.map(([number]) => number)).toEqual([1, 2, 3, 4, 5, 6])
    expect(new Set(log.map(([, payload]) => payload)).size).toBe(6)
  })

  test('go on counting over attempts, and say why there was another', async () => {
    const { build, taken } = await start()
    await underLease(fixture, taken, 'logs', { batch: 1, lines: [line('first attempt')] })
    await underLease(fixture, taken, 'finish', { status: 'failed', message: 'The worker stopped.', retryable: true })
    const next = await claimed(fixture, worker, build.id)
    await underLease(fixture, next, 'logs', { batch: 1, lines: [line('second attempt')] })
    expect(await logOf(build)).toEqual([
      [1, 'first attempt'],
      [2, 'The worker stopped. The build starts again: attempt 2 of 2.'],
      [3, 'second attempt'],
    ])
  })

  test('keep what a database would refuse: NUL characters and half surrogate pairs', async () => {
    const { build, taken } = await start()
    const answer = await underLease(fixture, taken, 'logs', { batch: 1, lines: [line('a\0b\ud800c')] })
    expect(answer.status).toBe(204)
    expect(await logOf(build)).toEqual([[1, 'a\ufffdb\ufffdc']])
  })

  test.each([
    ['no lines', { batch: 1, lines: [] }],
    ['batch 0', { batch: 0, lines: [line('a')] }],
    ['an unknown phase', { batch: 1, lines: [line('a', 'party')] }],
    ['an unknown key', { batch: 1, lines: [line('a')], secret: 'x' }],
  ])('with %s are refused', async (_name, body) => {
    const { taken } = await start()
    expect((await underLease(fixture, taken, 'logs', body)).status).toBe(422)
  })
})

describe('phases', () => {
  test('are recorded once however often they are reported, in any order', async () => {
    const { build, taken } = await start()
    const at = new Date().toISOString()
    const report = (state: string) => underLease(fixture, taken, 'phases', { phase: 'compile', state, at })
    for (const state of ['started', 'started', 'succeeded', 'started']) expect((await report(state)).status).toBe(204)
    const expected = { phase: 'compile', state: 'succeeded', attempt: 1, finishedAt: expect.any(Date) }
    expect(await phasesOf(build)).toMatchObject([expected])
  })

  test('are recorded with their own times when several are reported together', async () => {
    const { build, taken } = await start()
    const at = (second: number) => new Date(1_700_000_000_000 + second * 1_000)
    const report = (phase: string, state: string, second: number) => ({ phase, state, at: at(second).toISOString() })
    await underLease(fixture, taken, 'phases', [report('prepare', 'started', 0)])
    const detail = 'A web build has no native part.'
    const together = [
      report('prepare', 'succeeded', 2),
      report('fetch-source', 'started', 3),
      report('fetch-source', 'failed', 5),
      report('fetch-source', 'started', 3),
      { ...report('sign', 'skipped', 6), detail },
    ]
    for (const round of [1, 2]) {
      expect([round, (await underLease(fixture, taken, 'phases', together)).status]).toEqual([round, 204])
    }
    expect(await phasesOf(build)).toMatchObject([
      { phase: 'prepare', state: 'succeeded', startedAt: at(0), finishedAt: at(2) },
      { phase: 'fetch-source', state: 'failed', startedAt: at(3), finishedAt: at(5) },
      { phase: 'sign', state: 'skipped', startedAt: at(6), finishedAt: at(6), detail },
    ])
  })

  test('none of which is there are refused', async () => {
    const { taken } = await start()
    expect((await underLease(fixture, taken, 'phases', [])).status).toBe(422)
  })

  test('that still run when the attempt ends are shown as failed', async () => {
    const { build, taken } = await start()
    const at = new Date().toISOString()
    await underLease(fixture, taken, 'phases', { phase: 'install', state: 'started', at })
    await underLease(fixture, taken, 'finish', { status: 'timed_out', code: 'build-timed-out', message: 'Too slow.' })
    expect(await phasesOf(build)).toMatchObject([{ state: 'failed' }])
    expect(await jobOf(fixture, build)).toMatchObject({ status: 'timed_out', statusCode: 'build-timed-out' })
  })
})

describe('the end of an attempt', () => {
  const at = new Date().toISOString()
  const rest = {
    phases: [{ phase: 'upload', state: 'succeeded', at }],
    logs: { batch: 2, lines: [line('last words', 'upload')] },
  }

  test('is stored with what was not said before: phases and the last lines', async () => {
    const { build, taken } = await start()
    await underLease(fixture, taken, 'phases', { phase: 'upload', state: 'started', at })
    await underLease(fixture, taken, 'logs', { batch: 1, lines: [line('first words')] })
    await storeArtifact(fixture, taken, bytes)
    expect((await underLease(fixture, taken, 'finish', { status: 'succeeded', ...rest })).status).toBe(204)
    expect(await jobOf(fixture, build)).toMatchObject({ status: 'succeeded' })
    expect(await phasesOf(build)).toMatchObject([{ phase: 'upload', state: 'succeeded' }])
    expect(await logOf(build)).toEqual([
      [1, 'first words'],
      [2, 'last words'],
    ])
  })

  test('brings lines that were stored already once, and the reason after them', async () => {
    const { build, taken } = await start()
    await underLease(fixture, taken, 'logs', { ...rest.logs, batch: 1 })
    const end = { status: 'failed', code: 'build-failed', message: 'It failed.', logs: { ...rest.logs, batch: 1 } }
    expect((await underLease(fixture, taken, 'finish', end)).status).toBe(204)
    expect(await logOf(build)).toEqual([
      [1, 'last words'],
      [2, 'It failed.'],
    ])
  })

  test('that is refused leaves nothing of what it brought', async () => {
    const { build, taken } = await start()
    const refused = await underLease(fixture, taken, 'finish', { status: 'succeeded', ...rest })
    expect([refused.status, await codeOf(refused)]).toEqual([409, 'artifact-not-ready'])
    expect(await phasesOf(build)).toEqual([])
    expect(await logOf(build)).toEqual([])
    await underLease(fixture, taken, 'finish', { status: 'failed', retryable: true })
    const zombie = await underLease(fixture, taken, 'finish', { status: 'succeeded', ...rest })
    expect([zombie.status, await codeOf(zombie)]).toEqual([409, 'lease-lost'])
    expect(JSON.stringify(await logOf(build))).not.toContain('last words')
  })
})

describe('waiting', () => {
  test('is shown on the job, said once in its log, and forgotten when the build starts', async () => {
    const build = await queueBuild(fixture, app)
    const body = { code: 'container-engine-unavailable', message: 'Docker does not answer on this worker.' }
    const report = () => fixture.request('POST', `/worker/v1/builds/${build.id}/waiting`, { token: worker.token, body })
    expect((await report()).status).toBe(204)
    expect((await report()).status).toBe(204)
    expect(await jobOf(fixture, build)).toMatchObject({
      status: 'queued',
      statusCode: body.code,
      statusMessage: body.message,
    })
    expect(await logOf(build)).toEqual([[1, `Waiting: ${body.message}`]])
    await claimed(fixture, worker, build.id)
    expect(await jobOf(fixture, build)).toMatchObject({ status: 'in_progress', statusCode: null })
    expect((await report()).status).toBe(409)
  })
})
