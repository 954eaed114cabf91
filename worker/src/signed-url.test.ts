import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { BuildFailure } from './build-failure.js'
import { download, type Expected, TransferMismatch, TransferRefused, upload } from './signed-url.js'

type Answer = (request: IncomingMessage, response: ServerResponse, round: number) => void | Promise<void>

let answer: Answer
let rounds = 0
const server = createServer((request, response) => void answer(request, response, (rounds += 1)))
let url: string
const signal = new AbortController().signal
const content = randomBytes(300_000)
const expected = { sha256: createHash('sha256').update(content).digest('hex'), sizeBytes: content.length }

beforeEach(async () => {
  rounds = 0
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/object`
})

afterEach(async () => {
  server.closeAllConnections()
  server.close()
  await once(server, 'close')
})

async function receive(sent: Buffer[] = [], announced: Expected = expected): Promise<Buffer> {
  const deliver = async (bytes: Readable) => {
    sent.length = 0
    for await (const chunk of bytes) sent.push(chunk as Buffer)
  }
  await download(url, announced, deliver, signal)
  return Buffer.concat(sent)
}

describe('a download', () => {
  test('delivers the bytes that were announced', async () => {
    answer = (_, response) => void response.end(content)
    expect((await receive()).equals(content)).toBe(true)
  })

  test('that breaks off, or meets a restart, starts again from the first byte', async () => {
    answer = (_, response, round) => {
      if (round === 1) response.writeHead(503).end()
      else if (round === 2)
        response
          .writeHead(200, { 'content-length': content.length })
          .write(content.subarray(0, 1_000), () => response.destroy())
      else response.end(content)
    }
    expect((await receive()).equals(content)).toBe(true)
    expect(rounds).toBe(3)
  })

  test.each([
    ['another byte', content.map((byte, at) => (at === 5 ? byte ^ 1 : byte))],
    ['more bytes', Buffer.concat([content, Buffer.from('x')])],
  ])('with %s is refused at once', async (_, sent) => {
    answer = (_request, response) => void response.end(sent)
    await expect(receive()).rejects.toBeInstanceOf(TransferMismatch)
    expect(rounds).toBe(1)
  })

  const approval = Buffer.from('approved')

  test('is followed by an approval, where one is asked for', async () => {
    answer = (_, response, round) => {
      if (round === 1)
        response
          .writeHead(200, { 'content-length': content.length })
          .write(content.subarray(0, 1_000), () => response.destroy())
      else response.end(content)
    }
    const received = await receive([], { ...expected, approval })
    expect(received.equals(Buffer.concat([content, approval]))).toBe(true)
  })

  test.each([
    ['another byte', content.map((byte, at) => (at === 5 ? byte ^ 1 : byte))],
    ['an approval of its own', Buffer.concat([content, approval])],
    ['another byte and an approval of its own', Buffer.concat([randomBytes(content.length), approval])],
  ])('with %s is not approved of', async (_, bytes) => {
    answer = (_request, response) => void response.end(bytes)
    const sent: Buffer[] = []
    await expect(receive(sent, { ...expected, approval })).rejects.toBeInstanceOf(TransferMismatch)
    expect(Buffer.concat(sent).length).toBeLessThanOrEqual(content.length)
  })

  test('that is refused is not asked for again', async () => {
    answer = (_, response) => void response.writeHead(403).end()
    await expect(receive()).rejects.toBeInstanceOf(TransferRefused)
    expect(rounds).toBe(1)
  })

  test('hands on the reason of a receiver that gives up', async () => {
    answer = (_, response) => void response.end(content)
    const deliver = async (bytes: Readable) => {
      for await (const _ of bytes) throw new BuildFailure('disk-full', 'The build filled its disk.')
    }
    await expect(download(url, expected, deliver, signal)).rejects.toMatchObject({ code: 'disk-full' })
    expect(rounds).toBe(1)
  })

  test('ends when the build does', async () => {
    answer = () => undefined
    const stop = new AbortController()
    const running = download(url, expected, () => Promise.resolve(), stop.signal)
    setTimeout(() => stop.abort(new Error('stopped')), 50)
    await expect(running).rejects.toThrow('stopped')
  })
})

describe('an upload', () => {
  const put = () => upload(url, content.length, () => Readable.from([content]), signal)

  async function bodyOf(request: IncomingMessage): Promise<Buffer> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    return Buffer.concat(chunks)
  }

  test('sends the bytes with their length, and again after a restart', async () => {
    const bodies: Buffer[] = []
    answer = async (request, response, round) => {
      expect(request.headers).toMatchObject({ 'content-length': String(content.length) })
      expect(request.headers['transfer-encoding']).toBeUndefined()
      bodies.push(await bodyOf(request))
      response.writeHead(round === 1 ? 502 : 200).end()
    }
    await put()
    expect(bodies.map((body) => body.equals(content))).toEqual([true, true])
  })

  test.each([
    ['more bytes', content, 'POST /another HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n'],
    ['fewer bytes', content.subarray(1), ''],
  ])('with %s than announced is given up, and no other request is made of them', async (_, first, rest) => {
    const paths: (string | undefined)[] = []
    let arrive = () => {}
    const arrived = new Promise<void>((resolve) => (arrive = resolve))
    answer = (request) => {
      paths.push(request.url)
      let received = 0
      // Unanswered, so that the upload ends by what it sends.
      request.on('data', (chunk: Buffer) => {
        received += chunk.length
        if (received === first.length) arrive()
      })
    }
    async function* growing() {
      yield first
      await arrived
      if (rest !== '') yield Buffer.from(rest)
    }
    const putting = upload(url, content.length, () => Readable.from(growing()), signal)
    await expect(putting).rejects.toBeInstanceOf(TransferMismatch)
    expect(paths).toEqual(['/object'])
  })

  test('of an object that is there already is left to the comparison by the API', async () => {
    answer = async (request, response) => {
      await bodyOf(request)
      response.writeHead(412).end()
    }
    await expect(put()).resolves.toBeUndefined()
  })

  test('that is refused is the platform’s fault', async () => {
    answer = async (request, response) => {
      await bodyOf(request)
      response.writeHead(403).end()
    }
    await expect(put()).rejects.toMatchObject({ code: 'artifact-upload-refused', retryable: true })
    expect(rounds).toBe(1)
  })
})
