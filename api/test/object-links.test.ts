import { createHmac, randomBytes } from 'node:crypto'

import type { OpenAPIHono } from '@hono/zod-openapi'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { createApp } from '../src/app.js'
import type { Env } from '../src/auth/access.js'
import { createUrlSigner } from '../src/objects/sign-object-url.js'
import { bareDeps } from './bare-deps.js'
import { openTestFilesystemStore, publicUrl } from './object-stores.js'

let opened: Awaited<ReturnType<typeof openTestFilesystemStore>>
let app: OpenAPIHono<Env>
const page = Buffer.from('<script>alert(1)</script>')
beforeAll(async () => {
  opened = await openTestFilesystemStore()
  app = createApp(bareDeps({ objects: opened.store, objectUrls: opened.urls }))
  await opened.store.put('pages/1', page, { contentType: 'text/html' })
})
afterAll(() => opened[Symbol.asyncDispose]())

const pathOf = (url: string) => url.slice(publicUrl.length)
const getLink = async (key = 'pages/1') => pathOf(await opened.store.signedGetUrl(key, { expiresInSeconds: 60 }))
const putLink = async (key: string) =>
  pathOf(await opened.store.signedPutUrl(key, { expiresInSeconds: 60, contentType: 'text/plain', maxBytes: 10 }))
const send = (method: string, path: string, init: RequestInit = {}) => app.request(path, { method, ...init })

describe('a download', () => {
  test('is never shown as a page of this origin', async () => {
    const { headers } = await send('GET', await getLink())
    expect(Object.fromEntries(headers)).toMatchObject({
      'content-type': 'text/html',
      'content-disposition': expect.stringMatching(/^attachment/) as string,
      'content-security-policy': "default-src 'none'; sandbox",
      'x-content-type-options': 'nosniff',
      'content-length': String(page.length),
    })
  })

  test('HEAD tells the same without a body', async () => {
    const [head, get] = [await send('HEAD', await getLink()), await send('GET', await getLink())]
    expect(head.status).toBe(200)
    expect(await head.text()).toBe('')
    for (const name of ['content-length', 'content-type', 'etag'])
      expect(head.headers.get(name)).toBe(get.headers.get(name))
  })

  test('of a range that is not there is refused, of several ranges is whole', async () => {
    const beyond = await send('GET', await getLink(), { headers: { range: 'bytes=1000-' } })
    expect([beyond.status, ((await beyond.json()) as { code: string }).code]).toEqual([416, 'range-invalid'])
    const several = await send('GET', await getLink(), { headers: { range: 'bytes=0-1,3-4' } })
    expect([several.status, await several.text()]).toEqual([200, page.toString()])
    const last = await send('GET', await getLink(), { headers: { range: 'bytes=-9' } })
    expect([last.status, await last.text()]).toEqual([206, '</script>'])
  })

  test('of an object that is gone is 404, also for HEAD and ranges', async () => {
    const link = await getLink('pages/absent')
    const answers = [await send('GET', link), await send('GET', link, { headers: { range: 'bytes=0-1' } })]
    for (const answer of answers) expect(await answer.json()).toMatchObject({ status: 404, code: 'object-not-found' })
    expect((await send('HEAD', link)).status).toBe(404)
  })
})

describe('a link', () => {
  test('allows its own method only', async () => {
    expect((await send('PUT', await getLink(), { body: 'x' })).status).toBe(403)
    const upload = await putLink('methods/1')
    expect((await send('GET', upload)).status).toBe(403)
    expect((await send('PUT', upload, { body: 'x' })).status).toBe(201)
    expect(await opened.store.head('methods/1')).toMatchObject({ contentType: 'text/plain', sizeBytes: 1 })
  })

  const forge = (claims: object, key: Buffer) => {
    const text = Buffer.from(JSON.stringify(claims)).toString('base64url')
    return `/v1/objects/${text}.${createHmac('sha256', key).update(text).digest('base64url')}`
  }
  const claims = { m: 'GET', k: 'pages/1', e: Math.floor(Date.now() / 1000) + 60 }

  test.each([
    ['signed with another key', () => forge(claims, randomBytes(32))],
    ['without signature', async () => (await getLink()).split('.')[0] ?? ''],
    ['with an empty signature', async () => `${(await getLink()).split('.')[0]}.`],
    ['with a second part', async () => `${await getLink()}.x`],
    ['with padding added to the signature', async () => `${await getLink()}=`],
    ['that is no token', () => '/v1/objects/hello'],
    ['that is very long', () => `/v1/objects/${'a'.repeat(5000)}.b`],
  ])('%s is refused', async (_, make) => {
    const answer = await send('GET', await make())
    expect(await answer.json()).toMatchObject({ status: 403, code: 'object-url-invalid' })
    expect((await send('GET', await getLink())).status).toBe(200)
  })

  test('of another installation is refused', async () => {
    const theirs = createUrlSigner({ publicUrl, key: randomBytes(32) })
    expect((await send('GET', pathOf(theirs.signGet('pages/1', { expiresInSeconds: 60 })))).status).toBe(403)
  })

  test('expires to the second', async () => {
    const clock = { now: 1_000_000_000 }
    const urls = createUrlSigner({ publicUrl, key: opened.storeKey, now: () => clock.now })
    const token = urls.signGet('pages/1', { expiresInSeconds: 60 }).split('/').at(-1) ?? ''
    clock.now += 59_999
    expect(urls.verify(token)).toMatchObject({ k: 'pages/1' })
    clock.now += 1
    expect(urls.verify(token)).toBeNull()
  })
})
