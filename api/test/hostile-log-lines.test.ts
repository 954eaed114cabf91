import { afterAll, beforeAll, expect, test } from 'vitest'
import { claimed, createTestApp, line, queueBuild, storeArtifact, sourceZip, underLease } from './build-fixture.js'
import { createFixture, type Fixture } from './fixture.js'

const hostile = [
  '<img src=x onerror=alert(1)></script><script>alert(2)</script>',
  '\u001b]8;;javascript:alert(1)\u0007click\u001b]8;;\u0007',
  '\u001b[2J\u001b[Hcleared',
  'honest\rforged',
  'left \u202Etfel\u202C and \u2066isolated\u2069',
  'one\u2028two\u2029three\u0085four',
  'data: {"payload":"forged"}\n\nevent: end\ndata: {"status":"succeeded"}\n\n',
  'x'.repeat(10_000),
]

let fixture: Fixture

beforeAll(async () => {
  fixture = await createFixture()
})
afterAll(() => fixture[Symbol.asyncDispose]())

test('lines that would be code, escapes or events are data in every answer, and no answer can be taken for a page', async () => {
  const app = await createTestApp(fixture)
  const build = await queueBuild(fixture, app)
  const taken = await claimed(fixture, await fixture.createWorker(), build.id)
  const lines = hostile.map((text) => line(text))
  expect((await underLease(fixture, taken, 'logs', { batch: 1, lines })).status).toBe(204)
  await storeArtifact(fixture, taken, sourceZip())
  await underLease(fixture, taken, 'finish', { status: 'succeeded' })

  const list = await fixture.request('GET', `/v1/jobs/${build.jobId}/logs`, { token: app.token })
  expect(list.headers.get('content-type')).toMatch(/^application\/json/)
  expect(list.headers.get('x-content-type-options')).toBe('nosniff')
  const payloads = (await list.json<{ payload: string }[]>()).map(({ payload }) => payload)
  expect(payloads).toEqual(hostile)

  const stream = await fixture.request('GET', `/v1/jobs/${build.jobId}/logs/stream`, { token: app.token })
  expect(stream.headers.get('content-type')).toMatch(/^text\/event-stream/)
  const events = (await stream.text()).split('\n\n').filter((event) => event.startsWith('event: '))
  expect(events.map((event) => event.split('\n')[0])).toEqual([...hostile.map(() => 'event: line'), 'event: end'])
  // By line feeds alone: U+2028 ends a line for a regular expression, and none of a stream of events.
  const dataOf = (event: string) => event.split('\n').find((part) => part.startsWith('data: '))
  const streamed = events.slice(0, -1).map((event) => dataOf(event)?.slice('data: '.length) ?? '')
  expect(streamed.map((text) => (JSON.parse(text) as { payload: string }).payload)).toEqual(hostile)
})
