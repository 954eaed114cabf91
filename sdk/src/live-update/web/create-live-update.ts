import type { Launch } from '../launch.js'
import { LiveUpdateError } from '../live-update-error.js'
import { type LiveUpdate, openLiveUpdate } from '../live-update.js'
import type { LiveUpdateOptions } from '../options.js'
import type { World } from '../session.js'
import type { State } from '../state.js'
import { openBuiltIn } from '../open-built-in.js'
import type { BrowserWindow } from './browser.js'
import { cacheStorage } from './cache-storage.js'
import { launchPath } from './launch-path.js'
import { randomUuid } from '../random-uuid.js'

/** Options of the web client. */
export interface WebLiveUpdateOptions extends Omit<LiveUpdateOptions, 'platform'> {
  /** Default `web`. */
  platform?: LiveUpdateOptions['platform']
  /** The scope that the service worker was registered for. Default `/`. */
  scope?: string
  /**
   * Where, below the scope, the list is that `capstan publish --built-in FILE` wrote: patches then lead away from the
   * bundle that the network answers with, as far as the browser has its files already. Default: none.
   */
  builtInList?: string
  /** For tests: another network or clock. */
  world?: Partial<Pick<World, 'fetch' | 'now'>>
}

/** The page runs what the service worker decided when it was loaded. */
async function askWorker(window: BrowserWindow, scope: string): Promise<Launch> {
  const builtIn: Launch = { bundleId: null, directory: '', nonce: null }
  if (!window.navigator.serviceWorker?.controller) return builtIn
  const answer = await globalThis.fetch(new URL(`${scope}${launchPath}`, window.location.origin)).catch(() => null)
  if (answer?.headers.get('x-capstan-launch') !== '1') return builtIn
  return (await answer.json()) as Launch
}

/**
 * Live updates for a web app, in its page. The page downloads and verifies; the service worker (`serveLiveUpdates`)
 * decides what a page load runs, serves it, and goes back when a page never called `ready`.
 *
 * ```ts
 * await navigator.serviceWorker.register('/live-update-worker.js')
 * const updates = await createLiveUpdate({ appId, serverUrl, channel: 'production', publicKey, platformKey,
 *   appVersionCode: '42', appVersionName: '1.4.0' })
 * const { nonce } = await updates.launch()
 * await updates.ready(nonce)     // when the page works
 * await updates.sync()           // the next page load runs what this staged
 * ```
 *
 * `apply` loads the page anew.
 *
 * @throws {LiveUpdateError} `CONFIG`, `INSECURE_URL`, `KEY_*`, `CRYPTO_UNAVAILABLE`
 */
export async function createLiveUpdate(options: WebLiveUpdateOptions): Promise<LiveUpdate> {
  const { scope = '/', builtInList, world, platform = 'web', ...rest } = options
  const window = globalThis as unknown as BrowserWindow
  if (typeof window.caches?.open !== 'function' || typeof window.navigator?.locks?.request !== 'function') {
    throw new LiveUpdateError(
      'CONFIG',
      'Live updates need a secure page (https) of a browser with Cache Storage and Web Locks.',
    )
  }
  if (!scope.startsWith('/') || !scope.endsWith('/'))
    throw new LiveUpdateError('CONFIG', 'scope must begin and end with /.')
  const { locks } = window.navigator
  const ownFetch = world?.fetch ?? ((url: string, init: RequestInit) => globalThis.fetch(url, init))
  const place = { fetch: ownFetch, root: new URL(scope, window.location.origin).href }
  // Only what the browser has: to transfer a file from here is no better than from the archive.
  const init = { cache: 'only-if-cached', mode: 'same-origin' } as const
  const builtIn = await openBuiltIn(builtInList, { ...place, init })
  const storage = cacheStorage(options.appId, { caches: window.caches, locks }, builtIn)
  return openLiveUpdate(
    { ...rest, platform },
    {
      storage,
      ...(builtIn ? { builtInBundleId: builtIn.bundleId } : {}),
      fetch: ownFetch,
      now: world?.now ?? Date.now,
      randomId: randomUuid,
      // Two pages of one origin share the storage; the second one's sync is refused rather than mixed with the first.
      exclusively: (run) =>
        locks.request(`capstan/${encodeURIComponent(options.appId)}/sync`, { ifAvailable: true }, (lock) =>
          run(lock !== null),
        ),
      host: {
        launch: () => askWorker(window, scope),
        async apply() {
          const state = JSON.parse((await storage.readState()) ?? '{}') as Partial<State>
          if (state.next) window.location.reload()
          return askWorker(window, scope)
        },
      },
    },
  )
}
