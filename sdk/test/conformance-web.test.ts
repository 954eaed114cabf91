import { randomBytes } from 'node:crypto'
import { deflateRawSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ClientSettings } from './conformance/contract.js'
import { describeConformance } from './conformance/describe-conformance.js'
import { type HostileServer, startHostileServer } from './conformance/hostile-server.js'
import { bundle } from './update-fixture.js'
import { command, openWebLab, shownIn, type WebLab } from './conformance/web-lab.js'

let lab: WebLab
beforeAll(async () => {
  lab = await openWebLab()
})
afterAll(() => lab?.close())

describeConformance(
  'the web client in Chromium',
  { platform: 'web', open: () => lab.openClient(), archivesInOneProfile: true, everyVector: 4 },
  500,
)

describe('a browser', () => {
  let server: HostileServer
  let settings: ClientSettings
  let device: Awaited<ReturnType<WebLab['openClient']>>
  type Page = ReturnType<typeof device.page>
  beforeAll(async () => {
    server = await startHostileServer('web')
    settings = server.settings('release')
  })
  afterAll(() => server.http.close())

  async function fresh(): Promise<Page> {
    device = await lab.openClient()
    expect(await device.init(settings)).toEqual({ ok: true })
    return device.page()
  }

  /** Loads the app; what it shows, and its client opened. */
  async function load(page: Page): Promise<string> {
    await page.goto(lab.appUrl)
    const shown = await shownIn(page)
    await page.addScriptTag({ content: lab.clientScript })
    expect(await command(page, 'init', settings)).toEqual({ ok: true })
    return shown
  }

  test('a page that never says it works is left at the next load, its bundle blocked', async () => {
    const page = await fresh()
    const good = await server.offerHonest('release')
    await device.sync()
    expect(await device.current()).toMatchObject({ ok: true, page: good })
    const broken = await server.offerHonest('release')
    await device.sync()
    expect(await load(page)).toBe(broken)
    const launch = await command<{ nonce: string }>(page, 'launch')
    expect(launch).toMatchObject({ ok: true, nonce: expect.any(String) })
    expect(await load(page)).toBe(good)
    expect(await device.sync()).toEqual({ ok: false, code: 'BLOCKED' })
    expect(await command(page, 'ready', launch.ok ? launch.nonce : '')).toEqual({ ok: false, code: 'NONCE_MISMATCH' })
    await device.close()
  })

  test('a page loaded before an update keeps getting the files of its own bundle', async () => {
    const page = await fresh()
    const first = await server.offerHonest('release')
    await device.sync()
    expect(await device.current()).toMatchObject({ page: first })
    const second = await server.offerHonest('release')
    await device.sync()
    const tab = await page.context().newPage()
    expect(await load(tab)).toBe(second)
    await command(tab, 'confirm')
    expect(await shownIn(page)).toBe(first)
    expect(await shownIn(tab)).toBe(second)
    await device.close()
  })

  test('a deep link of a single-page app gets the page; what no bundle has comes from the network', async () => {
    const page = await fresh()
    const version = await server.offerHonest('release')
    await device.sync()
    await device.current()
    await page.goto(`${lab.appUrl}settings/profile`)
    expect(await shownIn(page)).toBe(version)
    expect(await page.evaluate(`fetch('/api/x').then((answer) => answer.status)`)).toBe(404)
    await device.close()
  })

  test('a file that changed in the cache is not run', async () => {
    const page = await fresh()
    const version = await server.offerHonest('release')
    await device.sync()
    expect(await device.current()).toMatchObject({ page: version })
    await page.evaluate(`(async () => {
      for (const name of await caches.keys()) {
        const cache = await caches.open(name)
        for (const { url } of await cache.keys()) if (url.endsWith('app.js')) await cache.put(url, new Response('evil()'))
      }
    })()`)
    expect(await load(page)).toBe('built-in')
    await device.close()
  })

  test('an origin without room takes nothing, runs what it has, and takes the update when there is room', async () => {
    const page = await fresh()
    const good = await server.offerHonest('release')
    await device.sync()
    expect(await device.current()).toMatchObject({ page: good })
    const { origin } = new URL(lab.appUrl)
    const devtools = await page.context().newCDPSession(page)
    await devtools.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 300_000 })
    const large = bundle('large', { 'assets/noise.bin': randomBytes(600_000).toString('hex') })
    await server.offerRelease(large)
    expect(await device.sync()).toEqual({ ok: false, code: 'STORAGE' })
    expect(await device.current()).toMatchObject({ page: good })
    await devtools.send('Storage.overrideQuotaForOrigin', { origin })
    expect(await device.sync()).toMatchObject({ ok: true, status: 'staged' })
    expect(await device.current()).toMatchObject({ page: 'large' })
    await device.close()
  })

  test("the browser's decompressor reads honest streams, and gives up on every other", async () => {
    const page = await fresh()
    const content = Buffer.from('<p>hello</p>'.repeat(400))
    const honest = deflateRawSync(content)
    const inflate = async (packed: Uint8Array, size: number): Promise<unknown> =>
      command(page, 'inflate', { packed: Buffer.from(packed).toString('base64'), size })
    expect(await inflate(honest, content.length)).toEqual({ ok: true, content: content.toString('base64') })
    const givenUp = { ok: true, content: null }
    expect(await inflate(Buffer.concat([honest, Buffer.from([0])]), content.length)).toEqual(givenUp)
    expect(await inflate(honest.subarray(0, -1), content.length)).toEqual(givenUp)
    expect(await inflate(honest, content.length - 1)).toEqual(givenUp)
    expect(await inflate(honest, content.length + 1)).toEqual(givenUp)
    expect(await inflate(deflateRawSync(Buffer.alloc(50_000_000)), 1000)).toEqual(givenUp)
    await device.close()
  })

  test('two pages do not sync at the same time', async () => {
    const page = await fresh()
    await server.offerHonest('release')
    const tab = await page.context().newPage()
    await load(tab)
    const answers = await Promise.all([
      command<{ status: string }>(page, 'sync'),
      command<{ status: string }>(tab, 'sync'),
    ])
    const summary = answers.map((answer) => (answer.ok ? answer.status : answer.code)).toSorted()
    expect(['BUSY,staged', 'staged,staged']).toContain(summary.join())
    await device.close()
  })

  test('a page closed at any moment of a sync leaves one whole version', async () => {
    const page = await fresh()
    const old = await server.offerHonest('release')
    await device.sync()
    expect(await device.current()).toMatchObject({ page: old })
    const next = await server.offerHonest('release')
    const seen = new Set<string>()
    // The first tab gets no download, so that what is shown after it is the old version.
    const { download } = server.http
    server.http.download = () => undefined
    for (let delay = 0; delay < 12; delay++) {
      const tab = await page.context().newPage()
      await load(tab)
      // Answered or not, the tab is gone after a moment.
      await Promise.race([
        command(tab, 'sync').catch(() => null),
        new Promise((resolve) => setTimeout(resolve, delay * 8)),
      ])
      await tab.close()
      server.http.download = download
      await page.goto(lab.appUrl)
      const shown = await shownIn(page)
      expect([old, next]).toContain(shown)
      seen.add(shown)
      if (shown === next) break
    }
    const final = await device.current()
    expect(final.ok && [old, next].includes(final.page)).toBe(true)
    expect(seen.has(old)).toBe(true)
    await device.close()
  })
})
