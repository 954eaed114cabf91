import { once } from 'node:events'
import { Agent, get, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ServerType } from '@hono/node-server'
import { channels, type Database, type Listen, newId, openDatabase, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createApp } from '../src/app.js'
import type { Deps } from '../src/context.js'
import { serveApp } from '../src/serve-app.js'
import { createCheckIns } from '../src/updates/check-ins.js'
import { openUpdates } from '../src/updates/open-updates.js'
import { serveCheck } from '../src/updates/serve-check.js'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import { android, type Body, createLiveUpdateApp, type LiveUpdateApp, zipOf } from './live-update-app.js'
import { startTcpProxy } from './tcp-proxy.js'

/** Seconds without a database, and of publishing under load: a moment in the suite, long enough to be sure on demand. */
const [AWAY_SECONDS, LOAD_SECONDS] = process.env.LONG_RUNS === '1' ? [30, 60] : [4, 3]

let fixture: Fixture
let org: TestOrganization
let app: LiveUpdateApp
let channelId: string
let first: string

beforeAll(async () => {
  fixture = await createFixture()
  org = await fixture.createOrganization()
  app = await createLiveUpdateApp(fixture, org)
  channelId = (await app.must('POST', '/channels', { name: 'beta+1' })).id
  first = await publish('one')
})
afterAll(() => fixture[Symbol.asyncDispose]())

async function publish(text: string): Promise<string> {
  const { bundle, response } = await app.publishZip(zipOf({ 'index.html': text }), {
    bundle: { channelName: 'beta+1' },
  })
  expect(response.status).toBe(200)
  return bundle.id
}

type Served = { url: string; deps: Deps; [Symbol.asyncDispose](): Promise<void> }

/** Another API process, as `main.ts` makes one. */
async function serve(options: Partial<Deps> & { listen?: Listen; pollMs?: number } = {}): Promise<Served> {
  const { listen, pollMs, ...overrides } = options
  const database = openDatabase({ url: fixture.databaseUrl('api'), poolSize: 4 })
  const updates = await openUpdates({
    db: overrides.db ?? database.db,
    listen: listen ?? database.listen,
    log: fixture.deps.log,
    publicUrl: fixture.deps.publicUrl,
    channelStatementKey: null,
    ...(pollMs === undefined ? {} : { pollMs }),
  })
  const deps = { ...fixture.deps, db: database.db, ...updates.parts, ...overrides }
  const server = await serveApp(createApp(deps), { host: '127.0.0.1', port: 0, first: serveCheck(deps) })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    deps,
    [Symbol.asyncDispose]: async () => {
      close(server)
      await updates[Symbol.asyncDispose]()
      await database[Symbol.asyncDispose]()
    },
  }
}

function close(server: ServerType): void {
  if ('closeAllConnections' in server) server.closeAllConnections()
  server.close()
}

const latest = (url: string, query: string, headers: Record<string, string> = {}) =>
  fetch(`${url}${app.path}/bundles/latest?${query}`, { headers })
const bundleIn = async (response: Response) => ((await response.json()) as { bundleId: string }).bundleId

/** How soon is measured by the bench; sooner than the hour between two polls of a process that is to hear of it at once. */
async function until(isTrue: () => Promise<boolean> | boolean): Promise<void> {
  const start = performance.now()
  while (!(await isTrue())) {
    if (performance.now() - start > 120_000) throw new Error('not within two minutes')
    await sleep(5)
  }
}

/** The requests of the official clients, letter by letter. */
const devices = {
  android: {
    query: `appVersionCode=10&appVersionName=1.0.0&bundleId&channelName=beta%2B1&customId&deviceId=${newId()}&osVersion=34&platform=0&pluginVersion=8.4.3`,
    headers: { 'user-agent': 'okhttp/5.1.0', 'accept-encoding': 'br, gzip', 'x-capawesome-device-id': newId() },
  },
  ios: {
    query: `platform=1&osVersion=18.1&channelName=beta+1&appVersionCode=1.2.3&deviceId=${newId()}&pluginVersion=8.4.3&appVersionName=1.2`,
    headers: {
      'user-agent': 'App/1 (com.example; build:1; iOS 18.1.0) Alamofire/5.10.2',
      'accept-encoding': 'br;q=1.0, gzip;q=0.9',
    },
  },
  electron: {
    query: `appVersionCode=1.0.0&appVersionName=1.0.0&channelName=beta%2B1&deviceId=${newId()}&osVersion=6.1&platform=2&pluginVersion=0.1.0&runtime=electron`,
    headers: { 'user-agent': 'Electron/30' },
  },
}

test.each(Object.entries(devices))(
  'a request as %s makes it is answered with exactly what it parses',
  async (_name, device) => {
    await using api = await serve()
    const response = await latest(api.url, device.query, device.headers)
    expect(response.status).toBe(200)
    expect(response.headers.get('content-encoding')).toBeNull()
    const text = await response.text()
    expect(response.headers.get('content-length')).toBe(String(Buffer.byteLength(text)))
    expect(JSON.parse(text)).toEqual({
      artifactType: 'zip',
      bundleId: first,
      channelName: 'beta+1',
      checksum: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
      signature: null,
      customProperties: {},
      url: `${fixture.deps.publicUrl}${app.path}/bundles/${first}/download`,
    })
    await api.deps.checkIns.flush()
    const deviceId = new URLSearchParams(device.query).get('deviceId')
    expect(await app.must('GET', `/devices/${deviceId}`)).toMatchObject({
      platform: Number(new URLSearchParams(device.query).get('platform')),
    })
  },
)

test.each([
  android('beta%2B1', newId()),
  android('none', newId()),
  'platform=9',
  'platform=0&channelName=%zz',
  `platform=0&deviceId=${'x'.repeat(300)}`,
  'platform=1',
  '',
])('below the framework and inside it, ?%s is answered the same', async (query) => {
  await using api = await serve()
  const below = await latest(api.url, query)
  const inside = await app.latest(query)
  expect(below.status).toBe(inside.status)
  const body = async (response: { text(): Promise<string> }) =>
    (await response.text()).replace(/"requestId":"[^"]+"/, '"requestId":""')
  expect(await body(below)).toBe(await body(inside))
  for (const name of [
    'content-type',
    'cache-control',
    'x-checksum',
    'x-content-type-options',
    'access-control-allow-origin',
  ]) {
    expect([name, below.headers.get(name)]).toEqual([name, inside.headers.get(name)])
  }
  expect(below.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/)
})

test('neither a known nor an unknown app costs a query', async () => {
  await using api = await serve({ db: fixture.deps.db })
  const silent = new Proxy({} as Database, {
    get: (_target, name) => {
      throw new Error(`the database was asked: ${String(name)}`)
    },
  })
  const server = await serveApp(createApp({ ...api.deps, db: silent }), {
    host: '127.0.0.1',
    port: 0,
    first: serveCheck({ ...api.deps, db: silent }),
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  expect((await latest(url, android('beta%2B1'))).status).toBe(200)
  for (const path of ['bundles/latest?platform=0', `bundles/${first}/download`, 'channels']) {
    const response = await fetch(`${url}/v1/apps/${newId()}/${path}`)
    expect([path, response.status]).toEqual([path, 404])
    expect(await response.json()).toMatchObject({ code: 'not-found' })
  }
  expect((await fetch(`${url}/v1/apps/nonsense/bundles/latest?platform=0`)).status).toBe(404)
  close(server)
})

describe('what one process changes', () => {
  test('every other one knows by notification', async () => {
    await using other = await serve({ pollMs: 60 * 60_000 })
    const next = await publish('two')
    await until(async () => (await bundleIn(await latest(other.url, android('beta%2B1', newId())))) === next)
  })

  test('is found by the poll when notifications are lost', async () => {
    await using deaf = await serve({ listen: () => Promise.reject(new Error('no notifications here')) })
    await app.must('POST', `/channels/${channelId}/pause`)
    await until(async () => (await latest(deaf.url, android('beta%2B1', newId()))).status === 404)
    await app.must('POST', `/channels/${channelId}/resume`)
    await until(async () => (await latest(deaf.url, android('beta%2B1', newId()))).status === 200)
    const doomed = await createLiveUpdateApp(fixture, org, 'Doomed')
    await until(() => deaf.deps.published.find(doomed.appId) !== null)
    await doomed.must('DELETE', '')
    await until(() => deaf.deps.published.find(doomed.appId) === null)
  })

  test('is seen in the order of its commits, not of its beginnings', async () => {
    await using deaf = await serve({ listen: () => Promise.reject(new Error('no notifications here')), pollMs: 20 })
    const late = await createLiveUpdateApp(fixture, org, 'Late')
    const { id } = await late.must('POST', '/channels', { name: 'slow' })
    await until(() => deaf.deps.published.find(late.appId)?.channels.has('slow') === true)
    let goOn: () => void = () => undefined
    const held = new Promise<void>((resolve) => (goOn = resolve))
    const slow = withOrg(fixture.deps.db, org.id, async (tx) => {
      await tx.update(channels).set({ name: 'slowly' }).where(eq(channels.id, id))
      await held
    })
    await sleep(50)
    // A younger transaction ends first, and the poll looks several times in between.
    const before = await publish('three')
    await until(async () => (await bundleIn(await latest(deaf.url, android('beta%2B1', newId())))) === before)
    await sleep(100)
    expect(deaf.deps.published.find(late.appId)?.channels.has('slowly')).toBe(false)
    goOn()
    await slow
    await until(() => deaf.deps.published.find(late.appId)?.channels.has('slowly') === true)
  })
})

test('while the database is away checks are answered, and what happened meanwhile is known right after', async () => {
  const target = new URL(fixture.databaseUrl('api'))
  await using line = await startTcpProxy({ host: target.hostname, port: Number(target.port) })
  target.hostname = '127.0.0.1'
  target.port = String(line.port)
  const database = openDatabase({ url: target.href, poolSize: 4 })
  const healthy = { health: () => Promise.resolve() } as unknown as Deps['seal']
  await using api = await serve({ db: database.db, listen: database.listen, seal: healthy })
  const before = await bundleIn(await latest(api.url, android('beta%2B1', newId())))
  const health = async () => ((await (await fetch(`${api.url}/health`)).json()) as { status: string }).status
  expect(await health()).toBe('ok')
  await line.cut()
  const after = await publish('while it was away')
  const cutAt = performance.now()
  let answered = 0
  while (performance.now() - cutAt < AWAY_SECONDS * 1_000 || answered <= 10) {
    const response = await latest(api.url, android('beta%2B1', newId()))
    expect(await bundleIn(response)).toBe(before)
    answered += 1
    await sleep(20)
  }
  expect(await health()).toBe('degraded')
  await line.mend()
  await until(async () => (await bundleIn(await latest(api.url, android('beta%2B1', newId())))) === after)
  const deviceId = newId()
  await latest(api.url, android('beta%2B1', deviceId))
  await until(async () => (await app.call('GET', `/devices/${deviceId}`)).status === 200)
  expect(await health()).toBe('ok')
  await database[Symbol.asyncDispose]()
})

test('what cannot be written down is lost, never the answer; what there is room for comes', async () => {
  const { db, log } = fixture.deps
  const refusing = new Proxy({} as Database, { get: () => () => Promise.reject(new Error('the database is away')) })
  const [lost, kept, over] = [newId(), newId(), newId()]
  for (const [checkIns, ids] of [
    [createCheckIns({ db: refusing, log, everyMs: 10 }), [lost]],
    [createCheckIns({ db, log, everyMs: 60_000, room: 1 }), [kept, over]],
  ] as const) {
    await using api = await serve({ checkIns })
    for (const id of ids) expect((await latest(api.url, android('beta%2B1', id))).status).toBe(200)
    await checkIns.flush()
    await checkIns[Symbol.asyncDispose]()
  }
  const statuses = await Promise.all([lost, kept, over].map((id) => app.call('GET', `/devices/${id}`)))
  expect(statuses.map(({ status }) => status)).toEqual([404, 200, 404])
})

test('a device that asks without end is told to wait; the fleet behind its address is served', async () => {
  await using api = await serve()
  const eager = newId()
  const statuses = []
  for (let count = 0; count < 130; count += 1) statuses.push((await latest(api.url, android('beta%2B1', eager))).status)
  expect(statuses.slice(0, 60)).toEqual(Array.from({ length: 60 }, () => 200))
  expect(statuses).toContain(429)
  const fleet = await Promise.all(Array.from({ length: 200 }, () => latest(api.url, android('beta%2B1', newId()))))
  expect(new Set(fleet.map(({ status }) => status))).toEqual(new Set([200]))
})

test('publishing under load gives no wrong and no failed answer', async () => {
  await using api = await serve()
  const agent = new Agent({ keepAlive: true, maxSockets: 8 })
  const known = new Map<string, number>([[await bundleIn(await latest(api.url, android('beta%2B1', newId()))), 0]])
  /** The newest bundle that this process has offered to a device. */
  let settled = 0
  const ask = async (): Promise<string> => {
    const path = `${api.url}${app.path}/bundles/latest?${android('beta%2B1', newId())}`
    const request = get(path, { agent })
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    const pieces: Buffer[] = []
    for await (const piece of response) pieces.push(piece as Buffer)
    expect(response.statusCode).toBe(200)
    return (JSON.parse(Buffer.concat(pieces).toString()) as Body).bundleId
  }
  const state = { isOver: false, answers: 0 }
  const load = Array.from({ length: 8 }, async () => {
    let newest = 0
    while (!state.isOver) {
      const least = settled
      const bundleId = await ask()
      // The publisher learns the id before any device can.
      await until(() => known.has(bundleId))
      const number = known.get(bundleId)!
      expect(number).toBeGreaterThanOrEqual(Math.max(newest, least))
      newest = number
      state.answers += 1
      await sleep(10)
    }
  })
  const startedAt = performance.now()
  for (let number = 1; performance.now() - startedAt < LOAD_SECONDS * 1_000 || state.answers <= 100; number += 1) {
    const bundleId = await publish(`under load ${number}`)
    known.set(bundleId, number)
    await until(async () => (await ask()) === bundleId)
    settled = number
    await sleep(250)
  }
  state.isOver = true
  await Promise.all(load)
  agent.destroy()
})
