import { createHash } from 'node:crypto'
import { gunzipSync } from 'node:zlib'
import { buffer } from 'node:stream/consumers'
import { jobLogObjects, jobLogs, jobs, newId, openDatabase, type OpenDatabase, withOrg } from '@capstan/migrations'
import type { Claim } from '@capstan/migrations/messages'
import { eq } from 'drizzle-orm'
import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { storeLogs } from '../src/control/store-logs.js'
import { ObjectStoreError, type ObjectStoreErrorCode } from '../src/objects/object-store.js'
import {
  claimed,
  createTestApp,
  jobOf,
  line,
  queueBuild,
  type TestApp,
  type TestBuild,
  type TestWorker,
  underLease,
} from './build-fixture.js'
import { createFixture, type Fixture } from './fixture.js'
import { keysBelow, storeDamaged } from './stored-objects.js'

let fixture: Fixture
let control: OpenDatabase
let worker: TestWorker
let app: TestApp
let minutes = 0

beforeAll(async () => {
  fixture = await createFixture()
  worker = await fixture.createWorker()
  control = openDatabase({ url: fixture.databaseUrl('control'), poolSize: 4 })
})
afterAll(async () => {
  await control[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})
beforeEach(async () => {
  // What other tests left is done already.
  minutes = 200
  await pass()
  minutes = 0
  app = await createTestApp(fixture)
})

/** One pass of the control process, so many minutes from now. */
const pass = (objects = fixture.deps.objects) =>
  storeLogs({
    db: control.db,
    objects,
    log: pino({ level: 'silent' }),
    now: () => new Date(Date.now() + minutes * 60_000),
  })

/** Stored, and an hour later no more in the database. */
async function move(): Promise<void> {
  minutes = 2
  expect(await pass()).toMatchObject({ stored: 1 })
  minutes = 70
  expect(await pass()).toEqual({ stored: 0, dropped: 1 })
}

const awkward = [
  '\u001B[31mred\u001B[0m',
  '\u001B]8;;javascript:alert(1)\u0007x',
  '</script><img onerror=x>',
  'broken \u{FFFD} byte',
  '',
  '  ü \u202E',
  '{"a":1}',
]
/** Long enough for several parts, of text that does not compress to nothing. */
const long = Array.from(
  { length: 260 },
  (_, n) => `${n} ${createHash('sha512').update(String(n)).digest('hex').repeat(60)}`,
)

async function ended(batches: readonly (readonly string[])[]): Promise<{ build: TestBuild; taken: Claim }> {
  const build = await queueBuild(fixture, app)
  const taken = await claimed(fixture, worker, build.id)
  for (const [index, texts] of batches.entries()) {
    const body = { batch: index + 1, lines: texts.map((text) => line(text)) }
    expect((await underLease(fixture, taken, 'logs', body)).status).toBe(204)
  }
  const end = { status: 'failed', code: 'gradle-failed', message: 'Gradle failed.' }
  await underLease(fixture, taken, 'phases', { phase: 'compile', state: 'failed', at: new Date().toISOString() })
  expect((await underLease(fixture, taken, 'finish', end)).status).toBe(204)
  return { build, taken }
}

const get = (path: string, token = app.token, headers = {}) => fixture.request('GET', path, { token, headers })

/** Everything that shows a log, as it is answered. */
async function shown({ build }: { build: TestBuild }): Promise<Record<string, unknown>> {
  const events = await (await get(`/v1/jobs/${build.jobId}/logs/stream`, app.token, { 'last-event-id': '2' })).text()
  const summary = await fixture.request('POST', `/v1/jobs/${build.jobId}/failure-summary`, { token: app.token })
  const withLog = await get(`/v1/apps/${app.id}/builds/${build.id}?relations=job,job.jobLogs`)
  return {
    job: (await jobOf(fixture, build, 'jobLogs')).jobLogs,
    ofBuild: (await withLog.json<{ job: { jobLogs: unknown } }>()).job.jobLogs,
    after: await (await get(`/v1/jobs/${build.jobId}/logs?after=3`)).json(),
    range: await (await get(`/v1/jobs/${build.jobId}/logs?after=3&limit=100`)).json(),
    past: await (await get(`/v1/jobs/${build.jobId}/logs?after=100000`)).json(),
    download: await (await get(`/v1/jobs/${build.jobId}/logs/download`)).text(),
    events,
    summary: await summary.json(),
  }
}

const rowsOf = ({ build }: { build: TestBuild }) =>
  withOrg(fixture.deps.db, app.org.id, (tx) => tx.$count(jobLogs, eq(jobLogs.jobId, build.jobId)))

async function noteOf({ build }: { build: TestBuild }) {
  const [note] = await withOrg(fixture.deps.db, app.org.id, (tx) =>
    tx.select().from(jobLogObjects).where(eq(jobLogObjects.jobId, build.jobId)),
  )
  return note
}

const objectsOf = async ({ build }: { build: TestBuild }) =>
  (await keysBelow(fixture, `orgs/${app.org.id}/`)).filter((key) => key.includes(`/logs/${build.jobId}/`))

describe('the log of a job that has ended', () => {
  test('reads the same from the database, from both, and from the object alone', async () => {
    const job = await ended([awkward, ...[0, 1, 2, 3].map((part) => long.slice(part * 65, part * 65 + 65))])
    const before = await shown(job)
    const lines = [...awkward, ...long, 'Gradle failed.']
    expect(before.download).toBe(lines.map((text) => `${text}\n`).join(''))
    expect(before.job).toHaveLength(lines.length)
    expect((before.range as { number: number }[]).map(({ number }) => number)).toEqual(
      Array.from({ length: 100 }, (_, index) => index + 4),
    )
    minutes = 2
    expect(await pass()).toEqual({ stored: 1, dropped: 0 })
    expect([await rowsOf(job), await shown(job)]).toEqual([6, before])
    minutes = 70
    expect(await pass()).toEqual({ stored: 0, dropped: 1 })
    expect([await rowsOf(job), await shown(job)]).toEqual([0, before])
    expect(await pass()).toEqual({ stored: 0, dropped: 0 })
  })

  test.each([0, 100_001, -1, 'many'])('is not given in ranges of %s lines', async (limit) => {
    const job = await ended([['one line']])
    expect((await get(`/v1/jobs/${job.build.jobId}/logs?limit=${limit}`)).status).toBe(422)
  })

  test('is one gzip file of numbered lines, in parts of bounded size', async () => {
    const job = await ended([long.slice(0, 130), long.slice(130)])
    await move()
    const note = await noteOf(job)
    expect(await objectsOf(job)).toEqual([note?.objectKey])
    const bytes = await buffer((await fixture.deps.objects.get(note!.objectKey)).body)
    const numbers = gunzipSync(bytes)
      .toString('utf8')
      .trim()
      .split('\n')
      .map((text) => JSON.parse(text).number as number)
    expect(numbers).toEqual(Array.from({ length: 261 }, (_, index) => index + 1))
    expect(note!.chunks.length).toBeGreaterThan(3)
    for (const { offset, bytes: size } of note!.chunks) {
      expect(gunzipSync(bytes.subarray(offset, offset + size)).length).toBeLessThan(600_000)
    }
  })

  test('is read by the part that has the line, not whole', async () => {
    const job = await ended([long.slice(0, 130), long.slice(130)])
    await move()
    const { chunks, objectKey } = (await noteOf(job))!
    const damaged = chunks[1]!
    // Every other part is gone, so whoever reads them fails.
    const only = { ...damaged, last: damaged.last }
    await withOrg(control.db, app.org.id, (tx) =>
      tx
        .update(jobLogObjects)
        .set({ chunks: chunks.map((chunk) => (chunk.first === only.first ? chunk : { ...chunk, offset: 2 ** 40 })) })
        .where(eq(jobLogObjects.objectKey, objectKey)),
    )
    const reader = (await get(`/v1/jobs/${job.build.jobId}/logs?after=${damaged.first}`)).body!.getReader()
    let text = ''
    while (!text.includes(`"number":${damaged.last},`))
      text += Buffer.from((await reader.read()).value ?? []).toString()
    expect(text).toContain(`"number":${damaged.first + 1},`)
    await reader.cancel()
  })

  test('whose object was changed is not served', async () => {
    const job = await ended([['one line']])
    await move()
    const [chunk] = (await noteOf(job))!.chunks
    await withOrg(control.db, app.org.id, (tx) =>
      tx
        .update(jobLogObjects)
        .set({ chunks: [{ ...chunk!, sha256: 'f'.repeat(64) }] })
        .where(eq(jobLogObjects.jobId, job.build.jobId)),
    )
    await expect((await get(`/v1/jobs/${job.build.jobId}/logs/download`)).text()).rejects.toThrow()
  })

  test('is plain text that no browser shows as a page, for members only', async () => {
    const job = await ended([awkward])
    const answer = await get(`/v1/jobs/${job.build.jobId}/logs/download`)
    expect(answer.headers.get('content-type')).toBe('text/plain; charset=utf-8')
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff')
    expect(answer.headers.get('content-disposition')).toContain('attachment')
    const rival = await createTestApp(fixture)
    expect((await get(`/v1/jobs/${job.build.jobId}/logs/download`, rival.token)).status).toBe(404)
    await answer.text()
  })

  test('without a line has no object, and one that runs stays where it is', async () => {
    const waiting = await queueBuild(fixture, app)
    await fixture.request('PATCH', `/v1/jobs/${waiting.jobId}`, { token: app.token, body: { status: 'canceled' } })
    const running = await queueBuild(fixture, app)
    await underLease(fixture, await claimed(fixture, worker, running.id), 'logs', { batch: 1, lines: [line('x')] })
    minutes = 2
    expect(await pass()).toEqual({ stored: 0, dropped: 0 })
    const rows = await withOrg(fixture.deps.db, app.org.id, (tx) => tx.select().from(jobs))
    expect(rows.find(({ id }) => id === waiting.jobId)?.logStoredAt).toBeInstanceOf(Date)
    expect(rows.find(({ id }) => id === running.jobId)?.logStoredAt).toBeNull()
    expect(await withOrg(fixture.deps.db, app.org.id, (tx) => tx.$count(jobLogObjects))).toBe(0)
  })
})

describe('an interruption', () => {
  test('before the note leaves objects that the next pass replaces, damaged or not', async () => {
    const job = await ended([awkward])
    const folder = `orgs/${app.org.id}/apps/${app.id}/logs/${job.build.jobId}/`
    await storeDamaged(fixture, `${folder}${newId()}`)
    await fixture.deps.objects.put(`${folder}${newId()}`, Buffer.from('half a log'), {
      contentType: 'application/gzip',
    })
    await move()
    expect(await objectsOf(job)).toEqual([(await noteOf(job))?.objectKey])
    expect(await (await get(`/v1/jobs/${job.build.jobId}/logs/download`)).text()).toContain('Gradle failed.')
  })

  test('of a store that keeps other bytes leaves the log in the database', async () => {
    const job = await ended([awkward])
    const before = await shown(job)
    const lying: typeof fixture.deps.objects = {
      ...fixture.deps.objects,
      put: async (key, body, options) => {
        const bytes = await buffer(body as NodeJS.ReadableStream)
        return fixture.deps.objects.put(key, bytes.fill(0, 10, 11), options)
      },
    }
    minutes = 2
    expect(await pass(lying)).toEqual({ stored: 0, dropped: 0 })
    expect([await noteOf(job), await objectsOf(job), await shown(job)]).toEqual([undefined, [], before])
    await move()
    expect(await shown(job)).toEqual(before)
  })

  test('that lost the object before the rows went is noticed, and the log is stored anew', async () => {
    const job = await ended([awkward])
    minutes = 2
    await pass()
    await fixture.deps.objects.delete((await noteOf(job))!.objectKey)
    minutes = 70
    expect(await pass()).toEqual({ stored: 0, dropped: 0 })
    expect(await rowsOf(job)).toBe(2)
    expect(await pass()).toMatchObject({ stored: 1 })
    expect(await objectsOf(job)).toHaveLength(1)
  })

  test('that damaged one object keeps no other log waiting, and its own is stored anew', async () => {
    const [damaged, other] = [await ended([awkward]), await ended([awkward])]
    minutes = 2
    await pass()
    const key = (await noteOf(damaged))!.objectKey
    const failing = (code: ObjectStoreErrorCode): typeof fixture.deps.objects => ({
      ...fixture.deps.objects,
      head: (asked) =>
        asked === key ? Promise.reject(new ObjectStoreError(code, 'It fails.')) : fixture.deps.objects.head(asked),
    })
    minutes = 70
    expect(await pass(failing('object-store-unavailable'))).toEqual({ stored: 0, dropped: 1 })
    expect([await rowsOf(damaged), await rowsOf(other)]).toEqual([2, 0])
    expect((await noteOf(damaged))?.objectKey).toBe(key)
    expect(await pass(failing('object-damaged'))).toEqual({ stored: 0, dropped: 0 })
    expect([await rowsOf(damaged), await objectsOf(damaged)]).toEqual([2, []])
    expect(await pass()).toMatchObject({ stored: 1 })
    expect(await objectsOf(damaged)).toEqual([(await noteOf(damaged))?.objectKey])
  })

  test('two control processes store a log once', async () => {
    const job = await ended([awkward])
    minutes = 2
    const passes = await Promise.all([pass(), pass(), pass()])
    expect(passes.reduce((sum, { stored }) => sum + stored, 0)).toBe(1)
    expect(await objectsOf(job)).toHaveLength(1)
  })
})

test('an app that is deleted takes its logs along', async () => {
  const job = await ended([awkward])
  await move()
  expect((await fixture.request('DELETE', `/v1/apps/${app.id}`, { token: app.org.tokens.admin })).status).toBe(204)
  expect([await objectsOf(job), await noteOf(job)]).toEqual([[], undefined])
})
