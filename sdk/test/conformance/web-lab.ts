import { existsSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { type Browser, chromium, type Page } from 'playwright-core'
import { rolldown } from 'rolldown'
import { appId } from '../update-fixture.js'
import type { Answer, ClientSettings, ConformanceClient } from './contract.js'

const executablePath = [
  process.env['CHROMIUM_PATH'],
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
].find((path) => path !== undefined && existsSync(path))

/** @throws when there is no browser to test in */
export function chromiumPath(): string {
  if (executablePath === undefined) {
    throw new Error(
      'Chromium is missing, and the web client is tested in it: apt-get install chromium, or set CHROMIUM_PATH.',
    )
  }
  return executablePath
}

export const chromiumArguments = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

async function bundleScript(name: string, define: Record<string, string>): Promise<string> {
  const build = await rolldown({
    input: fileURLToPath(new URL(name, import.meta.url)),
    platform: 'browser',
    transform: { define },
    logLevel: 'silent',
  })
  const { output } = await build.generate({ format: 'iife', codeSplitting: false })
  await build.close()
  return output[0].code
}

/** A browser, and a web app whose built-in bundle a small server holds. */
export interface WebLab {
  browser: Browser
  appUrl: string
  clientScript: string
  openClient(): Promise<ConformanceClient & { page(): Page }>
  close(): Promise<void>
}

/** Runs a command of the client in its page. */
export async function command<T>(page: Page, name: string, argument: unknown = null): Promise<Answer<T & object>> {
  return page.evaluate(
    async ([method, value]) => {
      const client = (globalThis as never as { capstanClient: Record<string, (value: unknown) => Promise<object>> })
        .capstanClient
      try {
        return { ok: true, ...(await client[method]!(value)) }
      } catch (error) {
        return { ok: false, code: (error as { code?: string }).code ?? String(error) }
      }
    },
    [name, argument] as const,
  ) as Promise<Answer<T & object>>
}

/** What the page of the app shows, with a script that it loads: a mix of two versions is said to be one. */
export async function shownIn(page: Page): Promise<string> {
  return page.evaluate(async () => {
    const shown = (
      globalThis as never as { document: { querySelector(name: string): { textContent: string } } }
    ).document.querySelector('p').textContent
    if (shown === 'built-in') return shown
    const script = await (await fetch('/assets/app.js')).text()
    return script === `show("${shown}")` ? shown : `a mix of ${shown} and ${script}`
  })
}

/** @param files what the built-in bundle has beside its page, and browsers keep */
export async function openWebLab(trialMs = 0, files: Record<string, string> = {}): Promise<WebLab> {
  const browserPath = chromiumPath()
  const clientScript = await bundleScript('web-page.mjs', {})
  const worker = await bundleScript('web-worker.mjs', {
    __APP_ID__: JSON.stringify(appId),
    __TRIAL_MS__: String(trialMs),
  })
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? '/', 'http://x').pathname
    if (path === '/worker.js') response.writeHead(200, { 'content-type': 'text/javascript' }).end(worker)
    else if (path === '/')
      response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><p>built-in</p>')
    else if (files[path.slice(1)] !== undefined)
      response.writeHead(200, { 'cache-control': 'max-age=3600' }).end(files[path.slice(1)])
    else response.writeHead(404).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const appUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const browser = await chromium.launch({ executablePath: browserPath, args: chromiumArguments, timeout: 120_000 })

  async function openClient(): Promise<ConformanceClient & { page(): Page }> {
    let page: Page
    let settings: ClientSettings
    const configure = async (): Promise<Answer<object>> => {
      await page.addScriptTag({ content: clientScript })
      return command(page, 'init', settings)
    }
    const leave = async (): Promise<void> => {
      if (page) await page.context().close()
    }
    return {
      page: () => page,
      async init(given) {
        await leave()
        settings = given
        page = await (await browser.newContext()).newPage()
        await page.goto(appUrl)
        await page.evaluate(`(async () => {
          await navigator.serviceWorker.register('/worker.js')
          await navigator.serviceWorker.ready
          while (!navigator.serviceWorker.controller) await new Promise((resolve) => setTimeout(resolve, 10))
        })()`)
        return configure()
      },
      sync: () => command(page, 'sync'),
      async current() {
        await page.goto(appUrl)
        const shown = await shownIn(page)
        const configured = await configure()
        if (!configured.ok) return configured
        const confirmed = await command<{ bundleId: string | null }>(page, 'confirm')
        return confirmed.ok ? { ...confirmed, page: shown } : confirmed
      },
      close: leave,
    }
  }

  return {
    browser,
    appUrl,
    clientScript,
    openClient,
    async close() {
      await browser.close()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
