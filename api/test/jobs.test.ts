import type { AddressInfo } from 'node:net'
import { serve, type ServerType } from '@hono/node-server'
import { jobs, withOrg } from '@capstan/migrations'
import type { Claim } from '@capstan/migrations/messages'
import { eq } from 'drizzle-orm'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createApp } from '../src/app.js'
import { MAX_LOG_BYTES } from '../src/jobs/append-log-lines.js'
import {
  auditActions,
  claimed,
  createTestApp,
  jobOf,
  line,
  queueBuild,
  sourceZip,
  storeArtifact,
  type TestApp,
  type TestBuild,
  type TestWorker,
  underLease,
} from './build-fixture.js'
import { type Answer, createFixture, type Fixture } from './fixture.js'
import { eventually } from './own-redis.js'

let fixture: Fixture
let app: TestApp
let worker: TestWorker

beforeAll(async () => {
  fixture = await createFixture()
  app = await createTestApp(fixture)
  worker = await fixture.createWorker()
})
afterAll(() => fixture[Symbol.asyncDispose]())

const cancel = (build: TestBuild, token = app.token) =>
  fixture.request('PATCH', `/v1/jobs/${build.jobId}`, { token, body: { status: 'canceled' } })
const log = (taken: Claim, batch: number, ...texts: string[]) =>
  underLease(fixture, taken, 'logs', { batch, lines: texts.map((text) => line(text)) })

async function start(on = fixture): Promise<{ build: TestBuild; taken: Claim }> {
  const build = await queueBuild(on, app)
  return { build, taken: await claimed(on, worker, build.id) }
}

describe('canceling', () => {
  test('ends a waiting job at once, and twice is the same', async () => {
    const build = await queueBuild(fixture, app)
    for (let time = 0; time < 2; time += 1) {
      const answer = await cancel(build)
      expect(answer.status).toBe(200)
      expect(await answer.json()).toMatchObject({ status: 'canceled', finishedAt: expect.any(String) })
    }
    expect((await auditActions(fixture, app.org.id)).filter((action) => action === 'build.canceled')).toHaveLength(1)
  })

  test('is refused for a job that has ended, with its status', async () => {
    const { build, taken } = await start()
    await storeArtifact(fixture, taken, sourceZip())
    await underLease(fixture, taken, 'finish', { status: 'succeeded' })
    const refused = await cancel(build)
    expect(refused.status).toBe(409)
    expect(await refused.json()).toMatchObject({
      code: 'job-transition-refused',
      message: expect.stringContaining('succeeded'),
    })
  })

  test('is not for viewers, nor for strangers, and nothing else can be set', async () => {
    const build = await queueBuild(fixture, app)
    const rival = await createTestApp(fixture)
    expect((await cancel(build, app.org.tokens.viewer)).status).toBe(403)
    expect((await cancel(build, rival.token)).status).toBe(404)
    const body = { status: 'succeeded' }
    const path = `/v1/jobs/${build.jobId}`
    expect((await fixture.request('PATCH', path, { token: app.token, body })).status).toBe(422)
    expect(await jobOf(fixture, build)).toMatchObject({ status: 'queued' })
  })
})

describe('jobs of an organization', () => {
  test('are listed newest first and by status', async () => {
    const own = await createTestApp(fixture)
    const first = await queueBuild(fixture, own)
    const second = await queueBuild(fixture, own)
    await cancel(first, own.token)
    const ids = async (query: string) => {
      const answer = await fixture.request('GET', `/v1/jobs?${query}`, { token: own.token })
      return (await answer.json<{ id: string }[]>()).map((job) => job.id)
    }
    expect(await ids(`organizationId=${own.org.id}`)).toEqual([second.jobId, first.jobId])
    expect(await ids('status=queued,pending')).toEqual([second.jobId])
    expect(await ids('status=canceled')).toEqual([first.jobId])
    expect(await ids('limit=1&offset=1')).toEqual([first.jobId])
    const foreign = await fixture.request('GET', `/v1/jobs?organizationId=${own.org.id}`, { token: app.token })
    expect(foreign.status).toBe(404)
    expect((await fixture.request('GET', '/v1/jobs?status=nope', { token: own.token })).status).toBe(422)
  })
})

describe('a failure summary', () => {
  test('names the reason, the phase and its last lines', async () => {
    const { build, taken } = await start()
    const at = new Date().toISOString()
    await underLease(fixture, taken, 'logs', {
      batch: 1,
      lines: [line('installing', 'install'), line('e: Main.java:7')],
    })
    await underLease(fixture, taken, 'phases', { phase: 'compile', state: 'failed', at, detail: 'exit code 1' })
    await underLease(fixture, taken, 'finish', { status: 'failed', code: 'gradle-failed', message: 'Gradle failed.' })
    const path = `/v1/jobs/${build.jobId}/failure-summary`
    const { summary } = await (await fixture.request('POST', path, { token: app.token })).json<{ summary: string }>()
    expect(summary).toContain('Gradle failed. (gradle-failed)')
    expect(summary).toContain('Phase "compile" failed: exit code 1')
    expect(summary).toContain('e: Main.java:7')
    expect(summary).not.toContain('installing')
  })

  test('says so when there is no failure', async () => {
    const build = await queueBuild(fixture, app)
    const path = `/v1/jobs/${build.jobId}/failure-summary`
    const answer = await fixture.request('POST', path, { token: app.token })
    expect(await answer.json()).toEqual({ summary: 'The job has not ended yet.' })
  })
})

describe('the log', () => {
  test('is read whole with relations=jobLogs, and from a number on', async () => {
    const { build, taken } = await start()
    await log(taken, 1, 'a', 'b')
    await log(taken, 2, 'c')
    const { jobLogs } = await jobOf(fixture, build, 'jobLogs')
    expect(jobLogs).toMatchObject([{ number: 1, payload: 'a', jobId: build.jobId }, { number: 2 }, { number: 3 }])
    const path = `/v1/jobs/${build.jobId}/logs?after=1`
    const rest = await (await fixture.request('GET', path, { token: app.token })).json<{ payload: string }[]>()
    expect(rest.map((entry) => entry.payload)).toEqual(['b', 'c'])
  })
})

type ServerEvent = { event?: string; id?: string; data?: string }

/** Reads a stream of server-sent events one by one; comments are skipped. */
async function* eventsOf(response: Answer): AsyncGenerator<ServerEvent> {
  let text = ''
  const decoder = new TextDecoder()
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    text += decoder.decode(chunk, { stream: true })
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const lines = text.slice(0, end).split('\n')
      text = text.slice(end + 2)
      const fields = lines.filter((each) => !each.startsWith(':')).map((each) => each.split(/: (.*)/s).slice(0, 2))
      if (fields.length > 0) yield Object.fromEntries(fields)
    }
  }
}

describe('the live log', () => {
  const open = (on: Fixture, build: TestBuild, headers: Record<string, string> = {}) =>
    on.request('GET', `/v1/jobs/${build.jobId}/logs/stream`, { token: app.token, headers })

  test('sends what is there, what comes, and the end', async () => {
    const { build, taken } = await start()
    await log(taken, 1, 'first')
    const response = await open(fixture, build)
    expect(response.headers.get('content-type')).toContain('text/event-stream')
    const events = eventsOf(response)
    const first = (await events.next()).value as ServerEvent
    expect(first).toMatchObject({ event: 'line', id: '1' })
    expect(JSON.parse(first.data ?? '')).toMatchObject({ number: 1, payload: 'first', phase: 'compile' })
    await log(taken, 2, 'second')
    expect((await events.next()).value).toMatchObject({ id: '2', data: expect.stringContaining('second') })
    await underLease(fixture, taken, 'finish', { status: 'failed', code: 'x', message: 'No.' })
    expect((await events.next()).value).toMatchObject({ id: '3', data: expect.stringContaining('No.') })
    const end = (await events.next()).value as ServerEvent
    expect(end.event).toBe('end')
    expect(JSON.parse(end.data ?? '')).toEqual({ status: 'failed', statusCode: 'x', statusMessage: 'No.' })
    expect((await events.next()).done).toBe(true)
  })

  test('is woken by Redis well before it looks for itself', async () => {
    const { build, taken } = await start()
    const events = eventsOf(await open(fixture, build))
    const delays: number[] = []
    for (const batch of [1, 2, 3, 4, 5]) {
      const next = events.next()
      const sent = Date.now()
      await log(taken, batch, `line ${batch}`)
      expect((await next).value).toMatchObject({ id: String(batch) })
      delays.push(Date.now() - sent)
    }
    await events.return(undefined)
    // The first may come before the subscription stands; looking without being woken takes 2000 ms each.
    expect(Math.min(...delays.slice(1))).toBeLessThan(1_500)
  })

  test('resumes after the line that was seen last', async () => {
    const { build, taken } = await start()
    await log(taken, 1, 'a', 'b', 'c')
    await underLease(fixture, taken, 'finish', { status: 'canceled' })
    const seen: (string | undefined)[] = []
    for await (const event of eventsOf(await open(fixture, build, { 'last-event-id': '2' }))) seen.push(event.id)
    expect(seen).toEqual(['3', '4', undefined])
  })

  test('goes on without Redis', async () => {
    const away = new Redis('redis://127.0.0.1:1', { enableOfflineQueue: false, retryStrategy: () => 100 })
    away.on('error', () => undefined)
    const lonely: Fixture = {
      ...fixture,
      request: async (method, path, { token, headers } = {}) =>
        (await createApp({ ...fixture.deps, redis: away }).request(path, {
          method,
          headers: { authorization: `Bearer ${token}`, ...headers },
        })) as Answer,
    }
    const { build, taken } = await start()
    const events = eventsOf(await open(lonely, build))
    const next = events.next()
    await log(taken, 1, 'unheard')
    expect((await next).value).toMatchObject({ id: '1', data: expect.stringContaining('unheard') })
    await events.return(undefined)
    away.disconnect()
  })

  test('is let go when its reader goes away', async () => {
    const { build } = await start()
    const server = await new Promise<ServerType>((resolve) => {
      const served = serve({ fetch: fixture.app.fetch, hostname: '127.0.0.1', port: 0 }, () => resolve(served))
    })
    const { port } = server.address() as AddressInfo
    const listeners = async () => (await fixture.deps.redis.pubsub('NUMSUB', `capstan:logs:${build.jobId}`))[1]
    const leaving = new AbortController()
    const response = await fetch(`http://127.0.0.1:${port}/v1/jobs/${build.jobId}/logs/stream`, {
      headers: { authorization: `Bearer ${app.token}` },
      signal: leaving.signal,
    })
    expect(response.status).toBe(200)
    await eventually(async () => (await listeners()) === 1)
    leaving.abort()
    await eventually(async () => (await listeners()) === 0)
    server.close()
  })

  test('is for members only', async () => {
    const { build } = await start()
    const rival = await createTestApp(fixture)
    const path = `/v1/jobs/${build.jobId}/logs/stream`
    expect((await fixture.request('GET', path, { token: rival.token })).status).toBe(404)
    expect((await fixture.request('GET', path)).status).toBe(401)
  })
})

test('a log that has grown to its limit says so once; the end of the build still stands in it', async () => {
  const { build, taken } = await start()
  await log(taken, 1, 'the first line')
  await withOrg(fixture.deps.db, app.org.id, (tx) =>
    tx
      .update(jobs)
      .set({ logBytes: MAX_LOG_BYTES - 5 })
      .where(eq(jobs.id, build.jobId)),
  )
  await log(taken, 2, 'too much', 'by far')
  await log(taken, 3, 'and more')
  await underLease(fixture, taken, 'finish', { status: 'failed', code: 'x', message: 'It failed.' })
  const { jobLogs } = await jobOf(fixture, build, 'jobLogs')
  const lines = (jobLogs as { number: number; payload: string }[]).map(({ number, payload }) => [number, payload])
  expect(lines).toEqual([
    [1, 'the first line'],
    [2, 'The log has 256 MiB; what the build prints from here on is not kept.'],
    [3, 'It failed.'],
  ])
})

test('lines without text count for the limit as well', async () => {
  const { build, taken } = await start()
  await withOrg(fixture.deps.db, app.org.id, (tx) =>
    tx
      .update(jobs)
      .set({ logBytes: MAX_LOG_BYTES - 350 })
      .where(eq(jobs.id, build.jobId)),
  )
  await log(taken, 1, '', '', '')
  await log(taken, 2, '')
  await underLease(fixture, taken, 'finish', { status: 'failed', code: 'x', message: 'It failed.' })
  const { jobLogs } = await jobOf(fixture, build, 'jobLogs')
  expect((jobLogs as { payload: string }[]).map(({ payload }) => payload)).toEqual([
    '',
    '',
    '',
    'The log has 256 MiB; what the build prints from here on is not kept.',
    'It failed.',
  ])
})
