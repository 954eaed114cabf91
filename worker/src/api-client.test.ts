import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { ProtocolServer, leaseToken, workerToken } from '../test/protocol-server.js'
import type { ApiClient } from './api-client.js'
import { ApiRefusal, ApiUnreachable, createApiClient } from './api-client.js'
import { LeaseLost } from './build-failure.js'
import { keepLease } from './keep-lease.js'

let server: ProtocolServer
let api: ApiClient
const claimRequest = { worker: 'one', capabilities: ['web'] }

beforeEach(async () => {
  server = await new ProtocolServer().start()
  api = createApiClient({ baseUrl: server.url, workerToken })
})

afterEach(async () => {
  expect(server.violations).toEqual([])
  await server[Symbol.asyncDispose]()
})

test('a claim answers the build once, and nothing when it is taken', async () => {
  const buildId = randomUUID()
  expect(await api.claim(buildId, claimRequest)).toMatchObject({ attempt: 1, spec: { buildId } })
  expect(await api.claim(buildId, claimRequest)).toBeUndefined()
})

test('a call outlasts an API that is away', async () => {
  server.isDown = true
  const finishing = api.withLease(leaseToken).finish({ status: 'succeeded', retryable: false })
  await sleep(700)
  expect(server.finishes).toEqual([])
  server.isDown = false
  await finishing
  expect(server.finishes).toHaveLength(1)
})

test('a call gives up when its budget is used', async () => {
  server.isDown = true
  await expect(api.claim(randomUUID(), claimRequest, { budgetMs: 300 })).rejects.toBeInstanceOf(ApiUnreachable)
})

test('a call ends with the reason of its signal', async () => {
  server.isDown = true
  const stop = new AbortController()
  const calling = api.withLease(leaseToken).heartbeat({ signal: stop.signal })
  setTimeout(() => stop.abort(new Error('stopped')), 100)
  await expect(calling).rejects.toThrow('stopped')
})

test('a lost lease is told from every other refusal', async () => {
  const lease = api.withLease(leaseToken)
  await expect(lease.heartbeat()).resolves.toMatchObject({ cancelRequested: false })
  server.isLeaseLost = true
  await expect(lease.heartbeat()).rejects.toBeInstanceOf(LeaseLost)
  server.isLeaseLost = false
  server.refusal = { status: 422, code: 'validation-failed' }
  const refused = await lease.heartbeat().catch((error: unknown) => error)
  expect(refused).toBeInstanceOf(ApiRefusal)
  expect(refused).toMatchObject({ status: 422, code: 'validation-failed' })
  server.refusal = { status: 401, code: 'token-invalid' }
  await expect(lease.heartbeat()).rejects.toBeInstanceOf(LeaseLost)
})

test('the lease keeper goes on while the API is away and stops the build on its word only', async () => {
  const stops: Error[] = []
  let troubles = 0
  const lease = api.withLease(leaseToken)
  const onTrouble = () => void (troubles += 1)
  await using keeper = keepLease({ lease, heartbeatMs: 20, onStop: (reason) => stops.push(reason), onTrouble })
  expect(keeper).toBeDefined()
  await expect.poll(() => server.heartbeats).toBeGreaterThan(2)
  server.isDown = true
  await expect.poll(() => troubles).toBeGreaterThan(2)
  expect(stops).toEqual([])
  server.isDown = false
  server.cancelRequested = true
  await expect.poll(() => stops.length).toBe(1)
  expect(stops[0]).toMatchObject({ code: 'build-canceled', status: 'canceled' })
  await sleep(100)
  expect(stops).toHaveLength(1)
  server.isLeaseLost = true
  await expect.poll(() => stops.length).toBe(2)
  expect(stops[1]).toBeInstanceOf(LeaseLost)
})
