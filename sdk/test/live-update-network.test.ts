import { describe, expect, test } from 'vitest'
import { bundle, replyJson, signBytes } from './update-fixture.js'
import { compat, useLab } from './update-lab.js'

const lab = useLab()
const { open, expectRefused } = lab

describe('the network', () => {
  const page = bundle('one')
  test('no bundle is no update', async () => {
    lab.server.latest = replyJson({ message: 'None.' }, 404)
    expect(await (await open(compat)).sync()).toEqual({ status: 'none', bundleId: null })
  })

  test.each([
    ['a server error', () => (lab.server.latest = replyJson({}, 500)), 'SERVER_REFUSED'],
    [
      'an answer that is not JSON',
      () => (lab.server.latest = (_q, response) => response.end('<html>')),
      'ANSWER_MALFORMED',
    ],
    ['an answer that is a list', () => (lab.server.latest = replyJson([])), 'ANSWER_MALFORMED'],
    ['a bundle id that is a path', () => lab.server.publish('../x', page), 'ANSWER_MALFORMED'],
    [
      'a bundle of an unknown kind',
      () => lab.server.publish('x', page, { artifactType: 'folder' }),
      'ANSWER_MALFORMED',
    ],
    [
      'a download over plain http elsewhere',
      () => lab.server.publish('x', page, { url: 'http://cdn.example.com/x' }),
      'INSECURE_URL',
    ],
    ['a download from a file', () => lab.server.publish('x', page, { url: 'file:///etc/passwd' }), 'INSECURE_URL'],
    [
      'a download that is gone',
      () => {
        lab.server.publish('x', page)
        lab.server.download = replyJson({}, 404)
      },
      'SERVER_REFUSED',
    ],
    [
      'an endless download',
      () => {
        lab.server.publish('x', page)
        lab.server.download = (_request, response) => {
          const more = (): boolean =>
            !response.destroyed && response.write(Buffer.alloc(65_536)) && setImmediate(more) !== null
          response.on('drain', more)
          more()
        }
      },
      'SIZE_MISMATCH',
    ],
    [
      'a download that declares too much',
      () => {
        lab.server.publish('x', page)
        lab.server.download = (_request, response) =>
          void response.writeHead(200, { 'content-length': 10_000_000 }).write('x')
      },
      'SIZE_MISMATCH',
    ],
    [
      'a download that breaks off',
      () => {
        lab.server.publish('x', page)
        lab.server.download = (_request, response) => {
          response.writeHead(200, { 'content-length': 1000 }).write('x', () => response.destroy())
        }
      },
      'NETWORK',
    ],
  ])('%s is refused', async (_what, arrange, code) => {
    arrange()
    const updates = await open({ ...compat, limits: { maxArchiveBytes: 1_000_000 } })
    await expectRefused(updates, code, 'built-in')
  })

  test('a download that stalls is given up', async () => {
    lab.server.publish('x', page)
    lab.server.download = (_request, response) => void response.writeHead(200, { 'content-length': 1000 }).write('x')
    const transfer = { windowMs: 1000, minimumBytes: 10 }
    await expectRefused(await open({ ...compat, transfer }), 'TOO_SLOW', 'built-in')
  })

  test('a transfer that takes too long in all is given up', async () => {
    lab.server.latest = () => undefined
    await expectRefused(await open({ ...compat, transfer: { timeoutMs: 500 } }), 'TOO_SLOW', 'built-in')
  })

  test.each([
    ['does not answer', () => new Promise<Response>(() => undefined)],
    ['stops in the middle', () => Promise.resolve(new Response(new ReadableStream({})))],
  ])(
    'a server that %s is given up also where fetch knows no signals, and the next sync runs',
    async (_what, silent) => {
      lab.server.publish('x', page, {}, { 'x-signature': signBytes(page) })
      let answers = false
      const fetch = (url: string, init: RequestInit): Promise<Response> =>
        answers || !url.includes('/files/') ? globalThis.fetch(url, init) : silent()
      const transfer = { windowMs: 300, minimumBytes: 10 }
      const updates = await open({ ...compat, transfer, world: { fetch } })
      await expect(updates.sync()).rejects.toMatchObject({ code: 'TOO_SLOW' })
      answers = true
      expect((await updates.sync()).status).toBe('staged')
    },
  )

  test('a server that never takes a report does not hold up updates', async () => {
    lab.server.publish('x', page, {}, { 'x-signature': signBytes(page) })
    let asked = 0
    const fetch = (url: string, init: RequestInit): Promise<Response> => {
      if (!url.includes('device-tokens')) return globalThis.fetch(url, init)
      asked++
      return new Promise(() => undefined)
    }
    const updates = await open({ ...compat, telemetry: true, transfer: { timeoutMs: 3000 }, world: { fetch } })
    await updates.sync()
    await updates.ready((await updates.launch()).nonce)
    for (const times of [1, 2]) {
      expect((await updates.sync()).status).toBe('up-to-date')
      expect(asked).toBe(times)
    }
  })

  test('what arrives after a transfer was given up changes nothing', async () => {
    lab.server.publish('x', page, {}, { 'x-signature': signBytes(page) })
    let arrive = (): void => undefined
    const late = new ReadableStream<Uint8Array>({
      start(controller) {
        arrive = () => controller.enqueue(new Uint8Array(1000))
      },
    })
    const fetch = (url: string, init: RequestInit): Promise<Response> =>
      url.includes('/files/') ? Promise.resolve(new Response(late)) : globalThis.fetch(url, init)
    const updates = await open({ ...compat, transfer: { timeoutMs: 500 }, world: { fetch } })
    const events: string[] = []
    updates.subscribe(({ type }) => events.push(type))
    await expect(updates.sync()).rejects.toMatchObject({ code: 'TOO_SLOW' })
    arrive()
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(events).not.toContain('progress')
  })

  test('a server that is not there is a network error', async () => {
    await expect((await open({ ...compat, serverUrl: 'http://127.0.0.1:1' })).sync()).rejects.toMatchObject({
      code: 'NETWORK',
    })
  })

  test('a redirect to an address that is not acceptable is refused', async () => {
    lab.server.publish('x', page, {}, { 'x-signature': signBytes(page) })
    const fetch = async (url: string, init: RequestInit): Promise<Response> => {
      const response = await globalThis.fetch(url, init)
      if (url.includes('/files/')) Object.defineProperty(response, 'url', { value: 'http://cdn.example.com/x' })
      return response
    }
    await expectRefused(await open({ ...compat, world: { fetch } }), 'INSECURE_URL', 'built-in')
  })

  test('one sync at a time', async () => {
    lab.server.publish('x', page, {}, { 'x-signature': signBytes(page) })
    const updates = await open(compat)
    const [first, second] = await Promise.allSettled([updates.sync(), updates.sync()])
    expect(first).toMatchObject({ status: 'fulfilled' })
    expect(second).toMatchObject({ status: 'rejected', reason: { code: 'BUSY' } })
    expect((await updates.sync()).status).toBe('staged')
  })
})
