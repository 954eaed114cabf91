import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { LiveUpdate } from '../src/live-update/capacitor/index.js'
import { listOf, offerPatched, shippedId, webBuild } from './built-in-offer.js'
import { type HostileServer, startHostileServer } from './conformance/hostile-server.js'
import { Phone } from './conformance/phone.js'
import { command, openWebLab, type WebLab } from './conformance/web-lab.js'

const builtInList = 'capstan-built-in.json'
const shipped = webBuild('built-in')
let server: HostileServer

describe('a patch away from the built-in bundle of a Capacitor app', () => {
  let phone: Phone
  const events: string[] = []

  beforeAll(async () => {
    server = await startHostileServer('android')
  })
  afterAll(() => server.http.close())
  beforeEach(async () => {
    phone = new Phone()
    events.length = 0
    server.http.requests.length = 0
    for (const [path, text] of Object.entries({ ...shipped, [builtInList]: await listOf(shipped) })) ship(path, text)
  })
  afterEach(() => phone.remove())

  function ship(path: string, text: string): void {
    mkdirSync(dirname(join(phone.builtIn, path)), { recursive: true })
    writeFileSync(join(phone.builtIn, path), text)
  }

  /** The client of the page that is shown, which reads the app's files at its own address. */
  async function open(change: object = { builtInList }): Promise<LiveUpdate> {
    const fetchOwn = async (url: string, init: RequestInit): Promise<Response> => {
      const address = new URL(url)
      if (address.origin !== 'https://localhost') return fetch(address, init)
      return new Response(readFileSync(join(phone.basePath, decodeURIComponent(address.pathname))))
    }
    const updates = await phone.open({ ...server.settings('release'), ...change, world: { fetch: fetchOwn } } as never)
    updates.subscribe((event) => {
      if (event.type === 'acquired') events.push(event.source)
      if (event.type === 'fell-back') events.push(`${event.source}: ${event.code}`)
    })
    return updates
  }

  /** What the app shows after an update, all of its files compared. */
  async function expectShown(version: string): Promise<void> {
    const next = await phone.start(server.settings('release'))
    await next.updates.ready(next.nonce)
    expect(next.page).toBe(version)
    for (const [path, text] of Object.entries(webBuild(version)))
      expect(readFileSync(join(phone.basePath, path), 'utf8')).toBe(text)
  }

  test('is asked for by its name, transferred alone, and gives the whole bundle', async () => {
    const { downloads } = await offerPatched(server, shipped, webBuild('two'))
    expect((await (await open()).sync()).status).toBe('staged')
    expect(server.http.requests[0]).toContain(`bundleId=${shippedId}`)
    expect({ events, downloads }).toEqual({ events: ['patch'], downloads: ['/patches/1'] })
    await expectShown('two')
  })

  test('is not taken by an app that names no list', async () => {
    const { downloads } = await offerPatched(server, shipped, webBuild('three'))
    expect((await (await open({})).sync()).status).toBe('staged')
    expect(server.http.requests[0]).not.toContain('bundleId=')
    expect(downloads).not.toContain('/patches/1')
    await expectShown('three')
  })

  test('is not tried from another bundle: what runs is that one', async () => {
    await server.offerHonest('release')
    await (await open()).sync()
    const running = await phone.start(server.settings('release'))
    await running.updates.ready(running.nonce)
    const { downloads } = await offerPatched(server, shipped, webBuild('four'))
    expect((await (await open()).sync()).status).toBe('staged')
    expect(downloads).not.toContain('/patches/1')
    await expectShown('four')
  })

  test('is not transferred when it is said to be larger than the archive', async () => {
    const hostile = { sizeBytes: 2 ** 50, spoilArchive: true }
    const { downloads } = await offerPatched(server, shipped, webBuild('six'), hostile)
    await expect((await open()).sync()).rejects.toMatchObject({ code: 'HASH_MISMATCH' })
    expect(downloads.length).toBeGreaterThan(0)
    expect(downloads).not.toContain('/patches/1')
  })

  test.each([
    ['a file that is not the listed one', () => ship('assets/library.js', 'other'), 'PATCH_MISMATCH'],
    [
      'a file with other bytes',
      () => ship('assets/library.js', shipped['assets/library.js']!.replace('a', 'b')),
      'FILE_MISMATCH',
    ],
    ['a list that is a page', () => ship(builtInList, '<!doctype html>'), 'PATCH_MISMATCH'],
    ['a list of nonsense', () => ship(builtInList, '{"bundleId":"../x","files":[{}]}'), 'PATCH_MISMATCH'],
    [
      'a list of impossible sizes',
      () =>
        ship(builtInList, JSON.stringify({ bundleId: shippedId, files: [{ path: 'x', sha256: 'y', size: 2 ** 50 }] })),
      'PATCH_TOO_LARGE',
    ],
  ])('with %s falls back to the archive', async (_what, damage, code) => {
    damage()
    await offerPatched(server, shipped, webBuild('five'))
    expect((await (await open()).sync()).status).toBe('staged')
    expect(events).toEqual([`patch: ${code}`, 'archive'])
    await expectShown('five')
  })
})

describe('a patch away from what the network answers, in Chromium', () => {
  let lab: WebLab
  const pages: Record<string, string> = {}
  // The page itself is the lab's own.
  const shownFirst = { ...shipped, 'index.html': '<!doctype html><p>built-in</p>' }

  beforeAll(async () => {
    server = await startHostileServer('web')
    Object.assign(pages, shownFirst, { [builtInList]: await listOf(shownFirst) })
    lab = await openWebLab(0, pages)
  })
  afterAll(async () => {
    await lab?.close()
    await server.http.close()
  })

  test.each([
    ['is transferred alone when the browser has every file', true, ['acquired patch']],
    [
      'is left when the browser lacks a file: nothing is fetched from the app anew',
      false,
      ['fell-back patch', 'acquired archive'],
    ],
  ])('%s', async (_what, loaded, expected) => {
    const device = await lab.openClient()
    expect(await device.init({ ...server.settings('release'), builtInList } as never)).toEqual({ ok: true })
    const page = device.page()
    if (loaded)
      for (const path of Object.keys(shownFirst)) await page.evaluate(`fetch('/${path}').then((file) => file.text())`)
    const { downloads } = await offerPatched(server, shownFirst, webBuild('two'))
    expect(await device.sync()).toMatchObject({ ok: true, status: 'staged' })
    const happened = await command<{ events: { type: string; source: string }[] }>(page, 'events')
    expect(happened.ok && happened.events.map(({ type, source }) => `${type} ${source}`)).toEqual(expected)
    if (loaded) expect(downloads).toEqual(['/patches/1'])
    expect(await device.current()).toMatchObject({ ok: true, page: 'two' })
    await device.close()
  })
})
