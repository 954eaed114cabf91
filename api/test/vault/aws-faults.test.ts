import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'

import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { createAwsKeyManager } from '../../src/vault/aws-key-manager.js'
import type { RootKeys } from '../../src/vault/key-manager.js'
import { Secret } from '../../src/vault/secret.js'

const KEY_ID = 'arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab'
const ctx = { org: 'o', purpose: 'organization-key' }
const key = { kekId: `aws:${KEY_ID}`, kekVersion: 1, wrapped: randomBytes(80) }

type Call = { target: string; body: Record<string, unknown> }
type Answer = (response: ServerResponse, call: Call) => void
let server: Server
let root: RootKeys
let calls: Call[]
let clock: number
let answers: Answer[]

const ok =
  (body: object): Answer =>
  (response) =>
    void response.end(JSON.stringify(body))
const fault =
  (type: string, status = 400): Answer =>
  (response) => {
    response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1', 'x-amzn-errortype': type })
    response.end(JSON.stringify({ __type: type, message: type }))
  }
const silence: Answer = () => {}
const cut: Answer = (response) => void response.destroy()
const plaintext = randomBytes(32)
const good = ok({
  KeyId: KEY_ID,
  Plaintext: plaintext.toString('base64'),
  CiphertextBlob: randomBytes(80).toString('base64'),
})

beforeEach(async () => {
  process.env.AWS_ACCESS_KEY_ID = 'test'
  process.env.AWS_SECRET_ACCESS_KEY = 'test'
  calls = []
  answers = []
  server = createServer((request, response) => void serve(request, response)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  clock = 0
  const endpoint = `http://127.0.0.1:${port}`
  root = createAwsKeyManager({ keyId: KEY_ID, region: 'eu-central-1', endpoint, now: () => clock })
})
afterEach(() => {
  server.closeAllConnections()
  server.close()
})

/** Plays the answers in order; the last one goes on. */
async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = JSON.parse((await buffer(request)).toString('utf8')) as Record<string, unknown>
  const call = { target: String(request.headers['x-amz-target']), body }
  calls.push(call)
  const answer = answers.length > 1 ? answers.shift() : answers[0]
  answer?.(response, call)
}

test('every call names its key and its context', async () => {
  answers = [good]
  await root.generateDek(ctx)
  await root.unwrap(key, ctx)
  await root.wrap(new Secret(randomBytes(32)), ctx)
  await root.rewrap(key, ctx)
  expect(calls.map(({ target }) => target)).toEqual(
    ['GenerateDataKey', 'Decrypt', 'Encrypt', 'ReEncrypt'].map((name) => `TrentService.${name}`),
  )
  for (const { body } of calls.slice(0, 3)) expect(body).toMatchObject({ KeyId: KEY_ID, EncryptionContext: ctx })
  expect(calls[3]?.body).toMatchObject({
    SourceKeyId: KEY_ID,
    DestinationKeyId: KEY_ID,
    SourceEncryptionContext: ctx,
    DestinationEncryptionContext: ctx,
  })
})

test('throttling that passes is waited out', async () => {
  answers = [fault('ThrottlingException'), fault('ThrottlingException'), good]
  const secret = await root.unwrap(key, ctx)
  secret.use((bytes) => expect(bytes).toEqual(plaintext))
  expect(calls).toHaveLength(3)
})

describe('the keys are unavailable, nothing is given out, and the tries are bounded', () => {
  const cases: [string, Answer, number][] = [
    ['throttling without end', fault('ThrottlingException'), 3],
    ['a broken service', fault('KMSInternalException', 500), 3],
    ['a dependency that times out', fault('DependencyTimeoutException', 500), 3],
    ['connections that are cut', cut, 3],
    ['a disabled key', fault('DisabledException'), 1],
    ['a key that waits for deletion', fault('KMSInvalidStateException'), 1],
    ['a deleted key', fault('NotFoundException'), 1],
    ['a right that is missing', fault('AccessDeniedException'), 1],
    ['an answer without content', ok({}), 1],
  ]
  test.each(cases)('%s', async (_, answer, tries) => {
    answers = [answer]
    const started = Date.now()
    await expect(root.unwrap(key, ctx)).rejects.toMatchObject({ name: 'KeysUnavailable' })
    expect(calls).toHaveLength(tries)
    expect(Date.now() - started).toBeLessThan(60_000)
  })

  test('a service that accepts and never answers: given up within the deadline', async () => {
    answers = [silence]
    const started = Date.now()
    await expect(root.generateDek(ctx)).rejects.toMatchObject({ name: 'KeysUnavailable' })
    expect(Date.now() - started).toBeLessThan(60_000)
    expect(calls.length).toBeLessThanOrEqual(3)
  })

  test('a service that is not there', async () => {
    server.close()
    server.closeAllConnections()
    await expect(root.unwrap(key, ctx)).rejects.toMatchObject({ name: 'KeysUnavailable' })
    await expect(root.health()).rejects.toMatchObject({ name: 'KeysUnavailable' })
  })
})

describe('health', () => {
  const healthy = { writable: true, kekVersion: 1 }

  test('asks the service once for many probes, and not while it is in use', async () => {
    answers = [good]
    expect(await Promise.all(Array.from({ length: 20 }, () => root.health()))).toEqual(
      Array.from({ length: 20 }, () => healthy),
    )
    expect(calls).toHaveLength(1)
    clock += 4 * 60_000
    ;(await root.unwrap(key, ctx))[Symbol.dispose]()
    clock += 4 * 60_000
    expect(await root.health()).toEqual(healthy)
    expect(calls).toHaveLength(2)
    clock += 2 * 60_000
    expect(await root.health()).toEqual(healthy)
    expect(calls).toHaveLength(3)
  })

  test('tells of a failure at once, and of its end soon', async () => {
    answers = [good, fault('DisabledException'), good]
    expect(await root.health()).toEqual(healthy)
    await expect(root.unwrap(key, ctx)).rejects.toMatchObject({ name: 'KeysUnavailable' })
    await expect(root.health()).rejects.toMatchObject({ name: 'KeysUnavailable' })
    expect(calls).toHaveLength(2)
    clock += 6_000
    expect(await root.health()).toEqual(healthy)
    expect(calls).toHaveLength(3)
  })
})

describe('a wrong ciphertext is the one refusal of every envelope', () => {
  test.each(['InvalidCiphertextException', 'IncorrectKeyException'])('%s', async (type) => {
    answers = [fault(type)]
    await expect(root.unwrap(key, ctx)).rejects.toMatchObject({ name: 'EnvelopeError' })
    expect(calls).toHaveLength(1)
  })

  test('a key of another length', async () => {
    answers = [ok({ KeyId: KEY_ID, Plaintext: randomBytes(16).toString('base64') })]
    await expect(root.unwrap(key, ctx)).rejects.toMatchObject({ name: 'EnvelopeError' })
  })

  test('a key of another root never reaches the service', async () => {
    for (const change of [{ kekId: 'aws:other' }, { kekVersion: 2 }, { wrapped: Buffer.alloc(0) }]) {
      await expect(root.unwrap({ ...key, ...change }, ctx)).rejects.toMatchObject({ name: 'EnvelopeError' })
    }
    expect(calls).toEqual([])
  })
})
