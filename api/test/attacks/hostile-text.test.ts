import type { AddressInfo } from 'node:net'
import type { ServerType } from '@hono/node-server'
import { apps, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { serveApp } from '../../src/serve-app.js'
import { openBrowser } from '../browser.js'
import {
  claimed,
  createTestApp,
  line,
  queueBuild,
  sourceZip,
  storeArtifact,
  type TestApp,
  underLease,
} from '../build-fixture.js'
import { createFixture, type Fixture } from '../fixture.js'

const MARKUP = [
  '<img src=x onerror="window.ran=1">',
  '</script><script>window.ran=1</script>',
  '"><svg/onload=window.ran=1>',
]
const HOSTILE = [
  ...MARKUP,
  '\u001b]8;;javascript:alert(1)\u001b\\click\u001b]8;;\u001b\\',
  '\u001b[2J\u001b[1;1Hgone',
  'overwritten\roverwriting',
  'right\u202eto left',
  '\u0007\u0008\u009b31m',
  'x'.repeat(16_000),
]

let fixture: Fixture
let server: ServerType
let origin: string
let browser: Browser
let app: TestApp

beforeAll(async () => {
  fixture = await createFixture()
  server = await serveApp(fixture.app, { host: '127.0.0.1', port: 0 })
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  app = await createTestApp(fixture)
  browser = await openBrowser()
})
afterAll(async () => {
  await browser.close()
  server.close()
  await fixture[Symbol.asyncDispose]()
})

async function jobWithLog(texts: readonly string[]) {
  const build = await queueBuild(fixture, app)
  const claim = await claimed(fixture, await fixture.createWorker(), build.id)
  const sent = await underLease(fixture, claim, 'logs', { batch: 1, lines: texts.map((text) => line(text)) })
  expect(sent.status).toBeLessThan(300)
  return { build, claim, path: `/v1/jobs/${build.jobId}/logs/download` }
}

async function logText(path: string): Promise<{ text: string; headers: Headers }> {
  const answer = await fixture.request('GET', path, { token: app.org.tokens.viewer })
  expect(answer.status).toBe(200)
  return { text: await answer.text(), headers: answer.headers }
}

test('a log is sent byte for byte as plain text that no browser runs', async () => {
  const { path } = await jobWithLog(HOSTILE)
  const { text, headers } = await logText(path)
  const at = text.indexOf(MARKUP[0] ?? '')
  expect(text.slice(at)).toBe(HOSTILE.map((one) => `${one}\n`).join(''))
  expect(headers.get('content-type')).toBe('text/plain; charset=utf-8')
  expect(headers.get('x-content-type-options')).toBe('nosniff')
  expect(headers.get('content-disposition')).toMatch(/^attachment;/)
  const page = await browser.newPage({ extraHTTPHeaders: { authorization: `Bearer ${app.org.tokens.viewer}` } })
  const download = page.waitForEvent('download')
  await page.goto(`${origin}${path}`).catch(() => undefined)
  expect((await download).suggestedFilename()).toMatch(/^job-.*\.log$/)
  expect(await page.evaluate('window.ran')).toBeUndefined()
  await page.close()
})

test('an ordinary log reads as it was written', async () => {
  const { path } = await jobWithLog(['added 3 packages', '', 'BUILD SUCCESSFUL in 3s — fertig'])
  expect((await logText(path)).text).toMatch(/added 3 packages\n\nBUILD SUCCESSFUL in 3s — fertig\n$/)
  const stranger = await fixture.createOrganization()
  expect((await fixture.request('GET', path, { token: stranger.tokens.owner })).status).toBe(404)
})

test('a page with hostile names runs nothing in a browser', async () => {
  await withOrg(fixture.deps.db, app.org.id, (tx) =>
    tx
      .update(apps)
      .set({ name: MARKUP.join(' ') })
      .where(eq(apps.id, app.id)),
  )
  const { build, claim } = await jobWithLog(['done'])
  await storeArtifact(fixture, claim, sourceZip('x'), { fileName: 'app onload.zip' })
  await underLease(fixture, claim, 'finish', { status: 'succeeded' })
  const made = await fixture.request('POST', `/v1/apps/${app.id}/builds/${build.id}/shares`, {
    token: app.token,
    body: { description: HOSTILE.slice(0, 4).join(' ') },
  })
  expect(made.status).toBe(201)
  const { id } = await made.json<{ id: string }>()
  const page = await browser.newPage()
  const dialogs: string[] = []
  page.on('dialog', (dialog) => {
    dialogs.push(dialog.message())
    void dialog.dismiss()
  })
  await page.goto(`${origin}/app-build-shares/${id}`)
  expect(await page.locator('h1').textContent()).toContain(MARKUP[0])
  expect(await page.locator('body').textContent()).toContain(MARKUP[1])
  expect(await page.evaluate('window.ran')).toBeUndefined()
  expect(await page.locator('img, script, h1 svg, a[href^="javascript"]').count()).toBe(0)
  expect(dialogs).toEqual([])
  await page.close()
})
