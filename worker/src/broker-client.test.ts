import { randomUUID } from 'node:crypto'
import { mkdir, rm, symlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import type { BrokerServer } from '../test/broker-server.js'
import { startBroker } from '../test/broker-server.js'
import { createBrokerClient } from './broker-client.js'

const payload = { fileB64: 'AAEC', filename: 'a.p12', password: 'secret', keyAlias: 'a', keyPassword: 'secret' }
const request = { credentialId: randomUUID(), credentialVersion: 1, attempt: 1, step: 'sign' } as const
const signal = new AbortController().signal
let broker: BrokerServer

afterEach(async () => broker[Symbol.asyncDispose]())

test('a credential is opened with the lease token', async () => {
  broker = await startBroker(() => payload)
  expect(await createBrokerClient(broker.socketPath).openKeystore('cl_token', request, signal)).toEqual(payload)
  expect(broker.requests).toEqual([{ authorization: 'Bearer cl_token', body: request }])
})

test('a refusal is asked for once and ends the build', async () => {
  broker = await startBroker(() => undefined)
  const opening = createBrokerClient(broker.socketPath).openKeystore('cl_token', request, signal)
  await expect(opening).rejects.toMatchObject({ code: 'credential-refused', retryable: false })
  expect(broker.requests).toHaveLength(1)
})

test('an answer in another form is the platform’s fault and shows no secret', async () => {
  broker = await startBroker(() => ({ ...payload, unexpected: 'secret' }) as typeof payload)
  const opening = createBrokerClient(broker.socketPath).openKeystore('cl_token', request, signal)
  const error: unknown = await opening.catch((reason: unknown) => reason)
  expect(error).toMatchObject({ code: 'broker-unavailable', retryable: true })
  expect(JSON.stringify(error) + String(error)).not.toContain('secret')
})

test('a broker that is starting is waited for', async () => {
  broker = await startBroker(() => payload)
  const { socketPath } = broker
  const late = await startBroker(() => payload)
  await late[Symbol.asyncDispose]()
  const opening = createBrokerClient(late.socketPath).openKeystore('cl_token', request, signal)
  const stop = new AbortController()
  const stopped = createBrokerClient(late.socketPath).openKeystore('cl_token', request, stop.signal)
  setTimeout(() => stop.abort(new Error('stopped')), 300)
  await expect(stopped).rejects.toThrow('stopped')
  await mkdir(dirname(late.socketPath))
  await symlink(socketPath, late.socketPath)
  expect(await opening).toEqual(payload)
  await rm(dirname(late.socketPath), { recursive: true })
})
