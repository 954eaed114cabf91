import { request as httpRequest } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ServerType } from '@hono/node-server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { newId, userPasswords, users, withUser } from '@capstan/migrations'
import { createApp } from '../../src/app.js'
import { hashPassword } from '../../src/auth/password.js'
import { serveApp } from '../../src/serve-app.js'
import { createFixture, type Fixture, type TestOrganization } from '../fixture.js'

const MIB = 1024 * 1024
let fixture: Fixture
let org: TestOrganization
let server: ServerType
let port: number

beforeAll(async () => {
  fixture = await createFixture()
  org = await fixture.createOrganization()
  server = await serveApp(createApp(fixture.deps), { host: '127.0.0.1', port: 0, headersMs: 2_000 })
  port = (server.address() as AddressInfo).port
})
afterAll(async () => {
  if ('closeAllConnections' in server) server.closeAllConnections()
  server.close()
  await fixture[Symbol.asyncDispose]()
})

type Sent = { status: number; body: string; sentBytes: number }

/** Sends `pieces` pieces of a body, stops once there is an answer, and gives the answer. */
function post(
  path: string,
  headers: Record<string, string>,
  pieces: number,
  piece = Buffer.alloc(MIB, '['),
): Promise<Sent> {
  return new Promise((resolve, reject) => {
    const progress = { answered: false, sentBytes: 0 }
    const request = httpRequest({ host: '127.0.0.1', port, path, method: 'POST', headers }, (response) => {
      progress.answered = true
      let body = ''
      response.setEncoding('utf8').on('data', (text: string) => (body += text))
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, body, sentBytes: progress.sentBytes })
        request.destroy()
      })
    })
    request.on('error', (error) => progress.answered || reject(error))
    void (async () => {
      for (let index = 0; index < pieces && !progress.answered; index += 1) {
        progress.sentBytes += piece.length
        if (!request.write(piece)) await Promise.race([new Promise((done) => request.once('drain', done)), sleep(50)])
        await sleep(1)
      }
    })()
  })
}

const asOwner = () => ({ authorization: `Bearer ${org.tokens.owner}`, 'content-type': 'application/json' })

describe('a body', () => {
  test('of 100 MiB is refused by its announced length, before it is read', async () => {
    const headers = { ...asOwner(), 'content-length': String(100 * MIB) }
    const answer = await post('/v1/apps', headers, 100)
    expect(answer).toMatchObject({ status: 413 })
    expect(answer.body).toContain('request-too-large')
  })

  test('without a length is refused once it is too large', async () => {
    const answer = await post('/v1/apps', asOwner(), 100)
    expect(answer).toMatchObject({ status: 413 })
    expect(answer.sentBytes).toBeLessThan(40 * MIB)
  })

  test('of somebody without a token is not waited for', async () => {
    const answer = await post('/v1/apps', { 'content-type': 'application/json' }, 1)
    expect(answer).toMatchObject({ status: 401 })
  })

  test('at a door that is open to anyone is no larger than a form', async () => {
    const answer = await post('/v1/sessions', { 'content-type': 'application/json' }, 2)
    expect(answer).toMatchObject({ status: 413 })
  })

  test('that is nested 100,000 deep is refused or ignored, never an error of ours', async () => {
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`
    const objects = `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`
    for (const value of [deep, objects]) {
      for (const [path, body] of [
        ['/v1/apps', `{"name":${value}}`],
        ['/v1/apps', `{"name":"x","junk":${value}}`],
        ['/v1/sessions', value],
      ] as const) {
        const answer = await fixture.request('POST', path, { body, headers: asOwner() })
        expect([path, answer.status < 500]).toEqual([path, true])
      }
    }
  })

  test('that is what it should be passes', async () => {
    const answer = await fixture.request('POST', '/v1/apps', { token: org.tokens.owner, body: { name: 'x' } })
    expect(answer.status).toBe(201)
  })
})

test('10,000 headers are refused', async () => {
  const lines = Array.from({ length: 10_000 }, (_, index) => `x-${index}: y`).join('\r\n')
  const answer = await raw(`GET /problems/not-found HTTP/1.1\r\nhost: x\r\n${lines}\r\n\r\n`)
  expect(answer).toMatch(/^HTTP\/1\.1 431/)
})

test('two lengths, and a length beside chunks, are refused', async () => {
  const twice = 'POST /v1/sessions HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab'
  expect(await raw(twice)).toMatch(/^HTTP\/1\.1 400/)
  const both =
    'POST /v1/sessions HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'
  expect(await raw(both)).toMatch(/^HTTP\/1\.1 400/)
})

test('300 connections that send their headers byte by byte are closed, and nobody else waits for them', async () => {
  const sockets: { socket: Socket; closed: Promise<string> }[] = Array.from({ length: 300 }, () => open())
  const text = `GET /problems/not-found HTTP/1.1\r\nhost: x\r\nx-slow: ${'y'.repeat(500)}`
  let sent = 0
  const timer = setInterval(() => {
    for (const { socket } of sockets) if (socket.writable) socket.write(text.charAt(sent))
    sent += 1
  }, 100)
  const times: number[] = []
  for (let index = 0; index < 20; index += 1) {
    const started = performance.now()
    const answer = await fetch(`http://127.0.0.1:${port}/problems/not-found`)
    expect(answer.status).toBe(200)
    await answer.text()
    times.push(performance.now() - started)
    await sleep(50)
  }
  const answers = await Promise.all(sockets.map(({ closed }) => closed))
  clearInterval(timer)
  expect(answers.every((answer) => answer === '' || answer.startsWith('HTTP/1.1 408'))).toBe(true)
  expect(answers.some((answer) => answer.startsWith('HTTP/1.1 408'))).toBe(true)
  expect(times.sort((a, b) => a - b)[18]).toBeLessThan(3_000)
})

describe('signing in', () => {
  const signIn = (email: string, password: string, address: string) =>
    fixture.request('POST', '/v1/sessions', { body: { email, password }, address })

  test('is refused above an amount at once, and other requests go on', async () => {
    const flood = Promise.all(
      Array.from({ length: 60 }, (_, index) => signIn(`nobody-${index}@example.test`, 'x', '192.0.2.10')),
    )
    const started = performance.now()
    expect((await fixture.request('GET', '/v1/users/me', { token: org.tokens.owner })).status).toBe(200)
    expect(performance.now() - started).toBeLessThan(30_000)
    const statuses = (await flood).map(({ status }) => status)
    expect(new Set(statuses)).toEqual(new Set([400, 429]))
    expect(statuses.filter((status) => status === 400).length).toBeLessThanOrEqual(18)
  })

  test('stops after ten wrong passwords for an address, also with the right one, and for that address alone', async () => {
    const [email, other] = await Promise.all([createUser('guessed'), createUser('other')])
    // A network of its own: the flood above has used up what its network may try.
    const address = '192.0.2.20'
    for (let attempt = 0; attempt < 10; attempt += 1) expect((await signIn(email, 'wrong', address)).status).toBe(400)
    const refused = await signIn(email.toUpperCase(), 'correct horse', address)
    expect(refused.status).toBe(429)
    expect(await refused.json()).toMatchObject({ code: 'too-many-requests' })
    expect((await signIn(other, 'correct horse', address)).status).toBe(201)
  })
})

async function createUser(name: string): Promise<string> {
  const id = newId()
  const email = `${name}@example.test`
  const hash = await hashPassword('correct horse')
  await withUser(fixture.deps.db, id, async (tx) => {
    await tx.insert(users).values({ id, email })
    await tx.insert(userPasswords).values({ userId: id, hash })
  })
  return email
}

function open(): { socket: Socket; closed: Promise<string> } {
  const socket = connect(port, '127.0.0.1')
  let answer = ''
  socket.setEncoding('utf8').on('data', (text: string) => (answer += text))
  socket.on('error', () => {})
  return { socket, closed: new Promise((resolve) => socket.once('close', () => resolve(answer))) }
}

async function raw(text: string): Promise<string> {
  const { socket, closed } = open()
  socket.write(text)
  socket.end()
  return closed
}
