import type { Launch } from '../launch.js'
import { currentBundle, launchBundle } from '../launch-bundle.js'
import { type LaunchConfig, type LaunchWorld, openSession, type Session } from '../session.js'
import type { BrowserFetchEvent, BrowserWorker } from './browser.js'
import { cacheStorage, type WebStorage } from './cache-storage.js'
import { launchPath } from './launch-path.js'
import { randomUuid } from '../random-uuid.js'

const defaultTrialMs = 10_000

/** Options of the service worker. */
export interface ServeOptions {
  appId: string
  appVersionCode: string
  appVersionName: string
  /** A bundle on trial that is loaded again within this time was not given its chance yet. Milliseconds, default 10000. */
  trialMs?: number
}

/** One worker's live updates. `builtIn` is the answer of the network. */
interface Server {
  worker: BrowserWorker
  storage: WebStorage
  session: Session<LaunchConfig, LaunchWorld>
  trialMs: number
  /** The trial that was last begun here. */
  trial: { nonce: string; since: number } | null
  /** One page load is decided after the other. */
  turn: Promise<unknown>
}

/** The bundle of a page, remembered past the worker's own life; dead pages are forgotten. */
async function remember(server: Server, clientId: string, directory: string): Promise<void> {
  await server.storage.lock(async () => {
    const pages = await server.storage.readPages()
    for (const id of Object.keys(pages)) if (!(await server.worker.clients.get(id))) delete pages[id]
    pages[clientId] = directory
    await server.storage.writePages(pages)
  })
}

async function decide(server: Server): Promise<Launch> {
  const current = await currentBundle(server.session)
  const { trial } = server
  const young = trial !== null && trial.nonce === current.nonce && Date.now() - trial.since < server.trialMs
  // A second tab, or a reload, before the first page could say that it works.
  if (current.nonce !== null && young) return current
  const launch = await launchBundle(server.session)
  server.trial = launch.nonce === null ? null : { nonce: launch.nonce, since: Date.now() }
  return launch
}

function pathIn(server: Server, url: string): string | null {
  const { origin, pathname } = new URL(url)
  const scope = new URL(server.worker.registration.scope)
  if (origin !== server.worker.location.origin || !pathname.startsWith(scope.pathname)) return null
  try {
    return decodeURIComponent(pathname.slice(scope.pathname.length)).normalize('NFC')
  } catch {
    return null
  }
}

/** A file of a bundle whose web root is `directory`. */
function openFile(server: Server, directory: string, path: string): Promise<Response | null> {
  const [id = '', ...root] = directory.split('/')
  const prefix = root.join('/')
  return server.storage.open(id, prefix === '' ? path : `${prefix}/${path}`)
}

async function navigate(server: Server, event: BrowserFetchEvent, path: string): Promise<Response> {
  server.turn = server.turn.then(() => decide(server)).catch(() => null)
  const launch = (await server.turn) as Launch | null
  if (launch === null || launch.bundleId === null) return server.worker.fetch(event.request)
  const file = path === '' || path.endsWith('/') ? `${path}index.html` : path
  const page =
    (await openFile(server, launch.directory, file)) ?? (await openFile(server, launch.directory, 'index.html'))
  if (!page) return server.worker.fetch(event.request)
  await remember(server, event.resultingClientId, launch.directory).catch(() => null)
  return page
}

/** The files of a page come from the bundle it was loaded from, also when another one runs by now. */
async function serveFile(server: Server, event: BrowserFetchEvent, path: string): Promise<Response> {
  const pages: Record<string, string> = await server.storage.readPages().catch(() => ({}))
  const directory = pages[event.clientId]
  const found = directory === undefined ? null : await openFile(server, directory, path).catch(() => null)
  return found ?? server.worker.fetch(event.request)
}

async function tellLaunch(server: Server, event: BrowserFetchEvent): Promise<Response> {
  const pages = await server.storage.readPages()
  const current = await currentBundle(server.session)
  const own = (pages[event.clientId] ?? '') === current.directory
  const launch: Launch = own ? current : { bundleId: null, directory: '', nonce: null }
  return Response.json(launch, { headers: { 'x-capstan-launch': '1', 'cache-control': 'no-store' } })
}

/**
 * Makes a service worker run live updates: each page load is a launch, its files come from the launched bundle, and what
 * is not in it comes from the network. Without a bundle the network is the built-in bundle.
 *
 * The worker's script is not a part of any bundle, so a broken update cannot remove the code that recovers from it.
 *
 * ```ts
 * // live-update-worker.js, bundled, served by your web server
 * serveLiveUpdates(self, { appId, appVersionCode: '42', appVersionName: '1.4.0' })
 * ```
 */
export function serveLiveUpdates(scope: unknown, options: ServeOptions): void {
  const worker = scope as BrowserWorker
  const storage = cacheStorage(options.appId, { caches: worker.caches, locks: worker.navigator.locks })
  const config = { appId: options.appId, nativeVersion: `${options.appVersionName} (${options.appVersionCode})` }
  const session = openSession(config, { storage, randomId: randomUuid })
  const server: Server = {
    worker,
    storage,
    session,
    trialMs: options.trialMs ?? defaultTrialMs,
    trial: null,
    turn: Promise.resolve(),
  }

  worker.addEventListener('install', (event) => event.waitUntil(worker.skipWaiting()))
  worker.addEventListener('activate', (event) => event.waitUntil(worker.clients.claim()))
  worker.addEventListener('fetch', (event) => {
    if (event.request.method !== 'GET') return
    const path = pathIn(server, event.request.url)
    if (path === null) return
    if (path === launchPath) event.respondWith(tellLaunch(server, event))
    else if (event.request.destination === 'document') event.respondWith(navigate(server, event, path))
    else event.respondWith(serveFile(server, event, path))
  })
}
