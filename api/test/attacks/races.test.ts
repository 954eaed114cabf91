import { setTimeout as sleep } from 'node:timers/promises'
import { jobs, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createApp } from '../../src/app.js'
import type { ObjectStore } from '../../src/objects/object-store.js'
import {
  announceSource,
  claimed,
  completeUpload,
  createTestApp,
  jobOf,
  openUpload,
  queueBuild,
  sendPart,
  sha256,
  sourceZip,
  type TestApp,
} from '../build-fixture.js'
import { createFixture, type Fixture } from '../fixture.js'

let fixture: Fixture
let app: TestApp

beforeAll(async () => {
  fixture = await createFixture()
  app = await createTestApp(fixture)
})
afterAll(() => fixture[Symbol.asyncDispose]())

/** The store, with reads that go on only once `readers` of them have begun: all of them have passed every first look. */
function meetingStore(objects: ObjectStore, readers: number): ObjectStore {
  let release = () => {}
  const met = new Promise<void>((resolve) => (release = resolve))
  let begun = 0
  return {
    ...objects,
    async get(key, options) {
      // The first four bytes are the first thing that is read of a joined archive.
      if (options?.range?.start === 0 && options.range.end === 3) {
        begun += 1
        if (begun === readers) release()
        await Promise.race([met, sleep(60_000)])
      }
      return objects.get(key, options)
    },
  }
}

test('of two uploads of a source that end at once, one becomes its content and stays it', async () => {
  const contents = [sourceZip('one'), sourceZip('two')]
  const sourceId = await announceSource(fixture, app, contents[0]!.length)
  const uploads = await Promise.all(
    contents.map(async (bytes) => {
      const uploadId = await openUpload(fixture, app, sourceId)
      const part = await (await sendPart(fixture, app, { sourceId, uploadId }, { number: 1, bytes })).json()
      return { uploadId, part, sha256: sha256(bytes) }
    }),
  )
  const meeting = createApp({ ...fixture.deps, objects: meetingStore(fixture.deps.objects, 2) })
  const racing: Fixture = {
    ...fixture,
    request: async (method, path, { token, body } = {}) =>
      meeting.request(path, {
        method,
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      }) as ReturnType<Fixture['request']>,
  }
  const answers = await Promise.all(
    uploads.map(({ uploadId, part }) => completeUpload(racing, app, { sourceId, uploadId }, [part])),
  )
  expect(answers.map(({ status }) => status).sort((a, b) => a - b)).toEqual([200, 422])
  const winner = uploads[answers.findIndex(({ status }) => status === 200)]
  const stored = await fixture.request('GET', `/v1/apps/${app.id}/build-sources/${sourceId}/download`, {
    token: app.token,
  })
  expect(sha256(new Uint8Array(await stored.arrayBuffer()))).toBe(winner?.sha256)
})

test('a cancellation that meets the end of an attempt is not lost', async () => {
  const build = await queueBuild(fixture, app)
  await claimed(fixture, await fixture.createWorker(), build.id)
  let canceling: ReturnType<Fixture['request']> | undefined
  // What the sweeper does to a lost attempt, with the cancellation arriving before it is committed.
  await withOrg(fixture.deps.db, app.org.id, async (tx) => {
    await tx.update(jobs).set({ status: 'queued', inProgressAt: null }).where(eq(jobs.id, build.jobId))
    canceling = fixture.request('PATCH', `/v1/jobs/${build.jobId}`, { token: app.token, body: { status: 'canceled' } })
    await sleep(500)
  })
  const answer = await canceling!
  expect(answer.status).toBe(200)
  expect(await answer.json()).toMatchObject({ status: 'canceled' })
  expect(await jobOf(fixture, build)).toMatchObject({ status: 'canceled' })
})

test('of many claims at once one gets the build', async () => {
  const build = await queueBuild(fixture, app)
  const workers = await Promise.all(Array.from({ length: 10 }, () => fixture.createWorker()))
  const answers = await Promise.all(
    workers.map(({ token }) =>
      fixture.request('POST', `/worker/v1/builds/${build.id}/claim`, {
        token,
        body: { worker: 'w', capabilities: ['web'] },
      }),
    ),
  )
  expect(answers.map(({ status }) => status).sort((a, b) => a - b)).toEqual([
    200,
    ...Array.from({ length: 9 }, () => 409),
  ])
})

test('more requests at once than the database has connections all get an answer', async () => {
  const burst = Array.from({ length: 120 }, (_, index) =>
    index % 2 === 0
      ? fixture.request('POST', `/v1/apps/${app.id}/channels`, { token: app.token, body: { name: `burst-${index}` } })
      : fixture.request('GET', `/v1/apps/${app.id}/builds?relations=job.jobLogs`, { token: app.token }),
  )
  const answers = await Promise.all(burst)
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200, 201]))
})
