import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type HostileServer, startHostileServer } from './conformance/hostile-server.js'
import { chromiumArguments, chromiumPath, command, openWebLab, shownIn, type WebLab } from './conformance/web-lab.js'

let lab: WebLab
let server: HostileServer
const profile = mkdtempSync(join(tmpdir(), 'capstan-profile-'))
let running: ChildProcess | null = null
beforeAll(async () => {
  lab = await openWebLab()
  server = await startHostileServer('web')
})
afterAll(async () => {
  killBrowser()
  await lab.close()
  await server.http.close()
  rmSync(profile, { recursive: true, force: true, maxRetries: 20 })
})

/** A browser of its own, with a profile that outlives it. */
async function startBrowser(): Promise<Page> {
  const args = [...chromiumArguments, '--headless', '--remote-debugging-port=0', `--user-data-dir=${profile}`]
  const child = spawn(chromiumPath(), [...args, 'about:blank'], { detached: true, stdio: ['ignore', 'ignore', 'pipe'] })
  running = child
  const address = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stderr }).on('line', (line) => {
      const found = /DevTools listening on (ws:\S+)/.exec(line)
      if (found) resolve(found[1]!)
    })
    child.once('exit', () => reject(new Error('the browser ended before it was ready')))
  })
  const browser = await chromium.connectOverCDP(address)
  return (browser.contexts()[0] ?? (await browser.newContext())).newPage()
}

function killBrowser(): void {
  // With all of its own processes: they are one group.
  if (running?.pid !== undefined) process.kill(-running.pid, 'SIGKILL')
  running = null
}

async function open(page: Page): Promise<string> {
  await page.goto(lab.appUrl)
  const shown = await shownIn(page)
  await page.addScriptTag({ content: lab.clientScript })
  expect(await command(page, 'init', server.settings('release'))).toEqual({ ok: true })
  return shown
}

test('a browser killed at any moment of a sync leaves one whole version', async () => {
  let page = await startBrowser()
  await page.goto(lab.appUrl)
  await page.evaluate(`(async () => {
    await navigator.serviceWorker.register('/worker.js')
    await navigator.serviceWorker.ready
    while (!navigator.serviceWorker.controller) await new Promise((resolve) => setTimeout(resolve, 10))
  })()`)
  expect(await open(page)).toBe('built-in')
  let old = await server.offerHonest('release')
  expect(await command(page, 'sync')).toMatchObject({ ok: true, status: 'staged' })
  expect(await open(page)).toBe(old)
  await command(page, 'confirm')
  for (const delay of [0, 5, 15, 30, 60, 200]) {
    const next = await server.offerHonest('release')
    const syncing = command(page, 'sync').catch(() => null)
    await new Promise((resolve) => setTimeout(resolve, delay))
    killBrowser()
    await syncing
    page = await startBrowser()
    const shown = await open(page)
    expect([old, next], `killed after ${delay} ms`).toContain(shown)
    await command(page, 'confirm')
    old = shown
  }
  const last = await server.offerHonest('release')
  expect(await command(page, 'sync')).toMatchObject({ ok: true, status: 'staged' })
  expect(await open(page)).toBe(last)
})
