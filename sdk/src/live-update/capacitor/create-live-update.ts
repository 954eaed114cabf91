import type { Launch } from '../launch.js'
import { LiveUpdateError } from '../live-update-error.js'
import { type LiveUpdate, openLiveUpdate } from '../live-update.js'
import type { LiveUpdateOptions } from '../options.js'
import { openBuiltIn } from '../open-built-in.js'
import type { World } from '../session.js'
import { pluginStorage } from './plugin-storage.js'
import type { FilesystemPlugin, PreferencesPlugin, WebViewPlugin } from './plugins.js'
import { randomUuid } from '../random-uuid.js'

/** Options of the Capacitor client. The plugins are the app's own, so that their versions are too. */
export interface CapacitorLiveUpdateOptions extends LiveUpdateOptions {
  filesystem: FilesystemPlugin
  preferences: PreferencesPlugin
  webView: WebViewPlugin
  /** A directory of `@capacitor/filesystem`. Default `DATA`; `LIBRARY_NO_CLOUD` keeps bundles out of backups on iOS. */
  storageDirectory?: string
  /**
   * The name of the list that `capstan publish --built-in FILE` wrote into the web folder of the app: patches then lead
   * away from the built-in bundle, and its files are reused. Default: none.
   */
  builtInList?: string
  /** For tests: another network or clock. */
  world?: Partial<Pick<World, 'fetch' | 'now'>>
}

/** The same place, whatever the plugin puts around a path. */
function same(left: string, right: string): boolean {
  const plain = (path: string): string => path.replace(/^file:\/\//, '').replace(/\/+$/, '')
  return plain(left) === plain(right)
}

/** How long a web view may take to leave a page. */
const leaveMs = 10_000

/**
 * Shows what was decided, for this start only: the next cold start begins in the built-in bundle again. The web view then
 * loads the bundle anew, and the page that asked must not go on until it is gone: it would confirm a bundle that it is not.
 */
async function show(webView: WebViewPlugin, launch: Launch): Promise<Launch> {
  if (launch.bundleId === null || same((await webView.getServerBasePath()).path, launch.directory)) return launch
  await webView.setServerBasePath({ path: launch.directory })
  await new Promise((resolve) => setTimeout(resolve, leaveMs))
  throw new LiveUpdateError(
    'STORAGE',
    'The web view did not load the chosen bundle; the next start goes back to the last.',
  )
}

/**
 * Live updates for a Capacitor app. Every bundle, the built-in one too, starts like this:
 *
 * ```ts
 * import { WebView } from '@capacitor/core'
 * const updates = await createLiveUpdate({ appId, serverUrl, channel: 'production', publicKey, platformKey,
 *   platform: 'android', appVersionCode: '42', appVersionName: '1.4.0',
 *   filesystem: Filesystem, preferences: Preferences, webView: WebView })
 * const { nonce } = await updates.launch()   // in the built-in bundle, at a cold start: switches to what is to run
 * await updates.ready(nonce)                 // when the page works; not reached in a page that was switched away from
 * await updates.sync()
 * ```
 *
 * The base path is never persisted to the web view, so each cold start begins in the built-in bundle, which no update
 * replaces, and `launch` decides there. Inside the launched bundle `launch` only says what runs. Where `launch` or `apply`
 * switches, the web view loads the bundle anew, and the call does not return in the page that made it.
 *
 * @throws {LiveUpdateError} `CONFIG`, `INSECURE_URL`, `KEY_*`, `CRYPTO_UNAVAILABLE`
 */
export async function createLiveUpdate(options: CapacitorLiveUpdateOptions): Promise<LiveUpdate> {
  const { filesystem, preferences, webView, storageDirectory = 'DATA', builtInList, world, ...rest } = options
  if (!filesystem || !preferences || !webView) {
    throw new LiveUpdateError('CONFIG', 'filesystem, preferences and webView are needed: give the plugins of your app.')
  }
  if (!/^[\w.-]{1,100}$/.test(options.appId))
    throw new LiveUpdateError('CONFIG', 'appId is missing or not an identifier.')
  const folder = `capstan-live-update/${options.appId}`
  const ownFetch = world?.fetch ?? ((url: string, init: RequestInit) => globalThis.fetch(url, init))
  const root = new URL('/', (globalThis as { location?: { href: string } }).location?.href ?? 'https://localhost').href
  const builtIn = await openBuiltIn(builtInList, { fetch: ownFetch, root, init: {} })
  const storage = await pluginStorage({ filesystem, preferences }, { directory: storageDirectory, folder, builtIn })
  return openLiveUpdate(rest, {
    storage,
    ...(builtIn ? { builtInBundleId: builtIn.bundleId } : {}),
    fetch: ownFetch,
    now: world?.now ?? Date.now,
    randomId: randomUuid,
    host: {
      async launch(decide, current) {
        const [now, { path }] = [await current(), await webView.getServerBasePath()]
        if (now.bundleId !== null && same(path, now.directory)) return now
        return show(webView, await decide())
      },
      apply: async (decide) => show(webView, await decide()),
    },
  })
}
