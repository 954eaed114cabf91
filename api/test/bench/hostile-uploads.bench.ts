import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { createFixture, type Fixture, type TestOrganization } from '../fixture.js'
import { keystoreBytes, storePassword } from '../keystore-fixtures.js'
import { storeApp } from '../leased-build.js'
import { median, report, rounded } from './report.js'
import { type StartedApi, startApi } from './start-api.js'

const UPLOADS = 50
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 3)
const PACE_MS = 10
/** From the moment at which the uploads begin, the same for every case: its slowest hundredth is of as many questions. */
const WINDOW_MS = 15_000

/**
 * A process of its own asks at a steady pace, whatever became of the questions before, for the time that an answer takes:
 * who waits for an answer before asking again would see one slow answer where there are many.
 */
const PROBE = `
const [url, pace] = process.argv.slice(1)
const agent = new (require('node:http').Agent)({ keepAlive: true })
const ask = () => new Promise((resolve, reject) => {
  const start = performance.now()
  require('node:http').get(url, { agent }, (response) => {
    response.resume().once('end', () => resolve({ status: response.statusCode, at: performance.timeOrigin + start, ms: performance.now() - start }))
  }).once('error', reject)
})
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
let going = true
process.stdin.resume().once('end', () => { going = false })
;(async () => {
  for (let count = 0; count < 200; count += 1) await ask()
  process.stdout.write('ready\\n')
  const answers = []
  for (let next = performance.now(); going; next += Number(pace)) {
    await pause(Math.max(0, next - performance.now()))
    answers.push(ask())
  }
  process.stdout.write(JSON.stringify(await Promise.all(answers)) + '\\n')
  process.exit(0)
})()`

/** Another one uploads, so that its work is not the server's: all of what it is given at once, when it is told to begin. */
const UPLOADER = `
const lines = require('node:readline').createInterface({ input: process.stdin })[Symbol.asyncIterator]()
;(async () => {
  const { url, token, uploads } = JSON.parse((await lines.next()).value)
  const requests = uploads.map(({ fileB64, fields }) => {
    const body = new FormData()
    body.append('file', new Blob([Buffer.from(fileB64, 'base64')]), 'x.p12')
    for (const [key, value] of Object.entries(fields)) body.append(key, value)
    return new Request(url, { method: 'POST', headers: { authorization: 'Bearer ' + token }, body })
  })
  await (await fetch(new URL('/health', url))).text()
  process.stdout.write('ready\\n')
  await lines.next()
  const start = performance.now()
  const answers = await Promise.all(requests.map(async (request) => {
    const answer = await fetch(request)
    return { status: answer.status, code: (await answer.json()).code ?? null, ms: performance.now() - start }
  }))
  process.stdout.write(JSON.stringify(answers) + '\\n')
  process.exit(0)
})()`

let fixture: Fixture
let api: StartedApi
let org: TestOrganization
let url: string
let appId: string

beforeAll(async () => {
  fixture = await createFixture()
  org = await fixture.createOrganization()
  appId = await storeApp(fixture, org.id)
  api = await startApi(fixture)
  url = api.url
})
afterAll(async () => {
  await api.stop()
  await fixture[Symbol.asyncDispose]()
})

type Sample = { status: number; ms: number; at: number }
type Answered = Omit<Sample, 'at'> & { code: string | null }
type Upload = { file: Buffer; fields: Record<string, string> }

function run(script: string, args: readonly string[]) {
  const child = spawn(process.execPath, ['-e', script, ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
  const printed: string[] = []
  child.stdout.setEncoding('utf8').on('data', (piece: string) => printed.push(piece))
  const lines = () =>
    printed
      .join('')
      .split('\n')
      .filter((line) => line.startsWith('{') || line.startsWith('['))
  return { child, lines, ready: () => once(child.stdout, 'data'), closed: once(child, 'close') }
}

/** How long answers to `/health` take for a while that begins with `work`. */
async function latencies(work: () => Promise<unknown>): Promise<number[]> {
  const probe = run(PROBE, [`${url}/health`, String(PACE_MS)])
  await probe.ready()
  await sleep(500)
  const began = Date.now()
  await Promise.all([work(), sleep(WINDOW_MS)])
  probe.child.stdin.end()
  await probe.closed
  const asked = probe.lines().flatMap((line) => JSON.parse(line) as Sample[])
  const answers = asked.filter(({ at }) => at >= began && at < began + WINDOW_MS)
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
  return answers.map(({ ms }) => ms)
}

async function prepare(uploads: readonly Upload[]): Promise<() => Promise<Answered[]>> {
  const uploader = run(UPLOADER, [])
  const asked = uploads.map(({ file, fields }) => ({ fileB64: file.toString('base64'), fields }))
  const order = { url: `${url}/v1/apps/${appId}/certificates`, token: org.tokens.admin, uploads: asked }
  uploader.child.stdin.write(`${JSON.stringify(order)}\n`)
  await uploader.ready()
  return async () => {
    uploader.child.stdin.write('\n')
    await uploader.closed
    return uploader.lines().flatMap((line) => JSON.parse(line) as Answered[])
  }
}

const percentile = (values: number[], share: number) =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? Number.NaN

const named = (name: string, password?: string): Record<string, string> => ({
  name: `${name} ${Math.random()}`,
  platform: 'android',
  ...(password === undefined ? {} : { password }),
})
/** Of what begins like a keystore and is as large as one may be. */
const large = Buffer.alloc(1024 * 1024, 0x30)
/** Of five: three bombs of two million rounds, one as large as may be, one whose rounds are allowed and cost seconds. */
function hostileFile(index: number): Buffer {
  if (index % 5 === 3) return large
  return keystoreBytes(index % 5 === 4 ? 'slow.p12' : 'bomb.p12')
}
const hostile = (index: number): Upload => ({ file: hostileFile(index), fields: named('Hostile', 'wrong') })
const good = (): Upload => ({ file: keystoreBytes('ec.p12'), fields: named('Good', storePassword) })
/** The same bytes through the same door, refused before anything looks at the file: what as many uploads cost anyway. */
const unread = (index: number): Upload => ({ file: hostileFile(index), fields: named('Unread') })

type Case = { p50: number; p99: number; worst: number; seconds: number; codes: (string | null)[] }

async function measure(upload: ((index: number) => Upload) | null): Promise<Case> {
  const send = upload === null ? null : await prepare(Array.from({ length: UPLOADS }, (_, index) => upload(index)))
  let answers: Answered[] = []
  const ms = await latencies(async () => {
    if (send !== null) answers = await send()
  })
  const seconds = Math.max(0, ...answers.map((answer) => answer.ms)) / 1000
  const codes = [...new Set(answers.map(({ code }) => code))]
  return { p50: percentile(ms, 0.5), p99: percentile(ms, 0.99), worst: Math.max(...ms), seconds, codes }
}

// Ten files of seconds each, three times, one after the other; longer on a machine that has other work.
test(
  'GET /health while fifty hostile keystores are uploaded, against none, fifty unread and fifty good ones',
  { timeout: 1_200_000 },
  async () => {
    const single: number[] = []
    for (let count = 0; count < 10; count += 1) {
      const [answer] = await (await prepare([hostile(0)]))()
      single.push(answer!.ms)
    }
    const rounds: { idle: Case; unread: Case; hostile: Case; good: Case }[] = []
    for (let round = 0; round < ROUNDS; round += 1) {
      rounds.push({
        idle: await measure(null),
        unread: await measure(unread),
        hostile: await measure(hostile),
        good: await measure(good),
      })
    }
    expect(new Set(rounds.flatMap((round) => round.hostile.codes))).toEqual(
      new Set(['keystore-too-costly', 'keystore-password-wrong', 'keystore-unrecognized']),
    )
    expect(rounds.flatMap((round) => [...round.unread.codes, ...round.good.codes])).toEqual(
      rounds.flatMap(() => ['keystore-password-missing', null]),
    )
    const of = (name: keyof (typeof rounds)[number], what: 'p50' | 'p99' | 'worst' | 'seconds') =>
      rounded(median(rounds.map((round) => round[name][what])), 2)
    // Medians of the ratios of one round: the machine may be another in the next.
    const ratio = (one: keyof (typeof rounds)[number], other: typeof one) =>
      rounded(median(rounds.map((round) => round[one].p99 / round[other].p99)), 2)
    report({
      name: 'health-under-hostile-uploads',
      uploads: UPLOADS,
      rounds: ROUNDS,
      bombRefusedMs: rounded(median(single), 1),
      idleP50Ms: of('idle', 'p50'),
      idleP99Ms: of('idle', 'p99'),
      unreadP50Ms: of('unread', 'p50'),
      unreadP99Ms: of('unread', 'p99'),
      unreadWorstMs: of('unread', 'worst'),
      hostileP50Ms: of('hostile', 'p50'),
      hostileP99Ms: of('hostile', 'p99'),
      hostileWorstMs: of('hostile', 'worst'),
      hostileSeconds: of('hostile', 'seconds'),
      goodP50Ms: of('good', 'p50'),
      goodP99Ms: of('good', 'p99'),
      goodWorstMs: of('good', 'worst'),
      hostileToIdle: ratio('hostile', 'idle'),
      goal: 1.2,
      // What the files cost beyond the moment in which as many bytes arrive for somebody who does not read them.
      hostileToUnread: ratio('hostile', 'unread'),
      unreadToIdle: ratio('unread', 'idle'),
      goodToIdle: ratio('good', 'idle'),
    })
  },
)
