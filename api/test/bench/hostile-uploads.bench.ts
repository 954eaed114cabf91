import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'

import { serve, type ServerType } from '@hono/node-server'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { createFixture, type Fixture, type TestOrganization } from '../fixture.js'
import { keystoreBytes, storePassword } from '../keystore-fixtures.js'
import { storeApp } from '../leased-build.js'
import { chooseSockets, startTestBroker, type TestBroker } from '../test-broker.js'
import { report, rounded } from './report.js'

const UPLOADS = 50
const PROBES = 400
const PACE_MS = 10

/** A process of its own asks for the time that an answer takes, so that nothing here delays the question. */
const PROBE = `
const [url, pace] = process.argv.slice(1)
const agent = new (require('node:http').Agent)({ keepAlive: true })
const ask = () => new Promise((resolve, reject) => {
  const start = performance.now()
  require('node:http').get(url, { agent }, (response) => {
    response.resume().once('end', () => resolve({ status: response.statusCode, ms: performance.now() - start }))
  }).once('error', reject)
})
let going = true
process.stdin.resume().once('end', () => { going = false })
;(async () => {
  for (let count = 0; count < 20; count += 1) await ask()
  process.stdout.write('ready\\n')
  while (going) {
    process.stdout.write(JSON.stringify(await ask()) + '\\n')
    await new Promise((resolve) => setTimeout(resolve, Number(pace)))
  }
  process.exit(0)
})()`

let fixture: Fixture
let broker: TestBroker
let org: TestOrganization
let server: ServerType
let url: string
let appId: string

beforeAll(async () => {
  const sockets = await chooseSockets()
  fixture = await createFixture({ sealSocket: sockets.sealSocket })
  broker = await startTestBroker(fixture, sockets)
  org = await fixture.createOrganization()
  appId = await storeApp(fixture, org.id)
  server = serve({ fetch: fixture.app.fetch, hostname: '127.0.0.1', port: 0 })
  await once(server, 'listening')
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(async () => {
  server.close()
  await broker[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})

/** Asks for `/health` until `work` is done. */
async function latencies(work: () => Promise<void>): Promise<number[]> {
  const probe = spawn(process.execPath, ['-e', PROBE, `${url}/health`, String(PACE_MS)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let text = ''
  probe.stdout.setEncoding('utf8').on('data', (piece: string) => (text += piece))
  await once(probe.stdout, 'data')
  await work()
  probe.stdin.end()
  await once(probe, 'close')
  const answers = text
    .split('\n')
    .flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as { status: number; ms: number }] : []))
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
  return answers.map(({ ms }) => ms)
}

const percentile = (values: number[], share: number) =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? Number.NaN

type Upload = { name: string; keystore: string; password: string }
type Answered = { status: number; code: string | undefined; ms: number }

async function upload({ name, keystore, password }: Upload): Promise<Answered> {
  const body = new FormData()
  body.append('file', new Blob([new Uint8Array(keystoreBytes(keystore))]), 'x.p12')
  for (const [key, value] of Object.entries({ name, platform: 'android', password })) body.append(key, value)
  const start = performance.now()
  const headers = { authorization: `Bearer ${org.tokens.admin}` }
  const answer = await fetch(`${url}/v1/apps/${appId}/certificates`, { method: 'POST', headers, body })
  const { code } = (await answer.json()) as { code?: string }
  return { status: answer.status, code, ms: performance.now() - start }
}

/** Four bombs of two million rounds, then one file whose rounds are allowed and cost seconds. */
const uploadHostile = (index: number) =>
  upload({ name: `Hostile ${index}`, keystore: index % 5 === 4 ? 'slow.p12' : 'bomb.p12', password: 'wrong' })
const uploadGood = (index: number) =>
  upload({ name: `Good ${index} ${Math.random()}`, keystore: 'ec.p12', password: storePassword })

/** As many uploads at once, and how long `/health` takes meanwhile. */
async function underUploads(send: (index: number) => Promise<Answered>, expected: (string | undefined)[]) {
  let seconds = 0
  const ms = await latencies(async () => {
    const start = performance.now()
    const answers = await Promise.all(Array.from({ length: UPLOADS }, (_, index) => send(index)))
    seconds = (performance.now() - start) / 1000
    expect(new Set(answers.map(({ code }) => code))).toEqual(new Set(expected))
  })
  return { ms, seconds }
}

test('GET /health while fifty hostile keystores are uploaded, against fifty good ones and none', async () => {
  const single: number[] = []
  for (let count = 0; count < 10; count += 1) single.push((await uploadHostile(0)).ms)
  const idle = await latencies(() => new Promise((resolve) => setTimeout(resolve, PROBES * (PACE_MS + 3))))
  const before = await underUploads(uploadGood, [undefined])
  const hostile = await underUploads(uploadHostile, ['keystore-too-costly', 'keystore-password-wrong'])
  const after = await underUploads(uploadGood, [undefined])
  const good = [...before.ms, ...after.ms]
  const [idleP99, goodP99, hostileP99] = [idle, good, hostile.ms].map((values) => rounded(percentile(values, 0.99), 2))
  report({
    name: 'health-under-hostile-uploads',
    uploads: UPLOADS,
    seconds: rounded(hostile.seconds, 1),
    bombRefusedMs: rounded(percentile(single, 0.5), 1),
    idleP50Ms: rounded(percentile(idle, 0.5), 2),
    idleP99Ms: idleP99!,
    goodP50Ms: rounded(percentile(good, 0.5), 2),
    goodP99Ms: goodP99!,
    hostileP50Ms: rounded(percentile(hostile.ms, 0.5), 2),
    hostileP99Ms: hostileP99!,
    // Of the hostile uploads to as many good ones: what the hostility costs the others.
    ratio: rounded(hostileP99! / goodP99!, 2),
    toIdle: rounded(hostileP99! / idleP99!, 2),
    probes: hostile.ms.length,
  })
})
