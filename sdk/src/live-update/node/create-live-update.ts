import { LiveUpdateError } from '../live-update-error.js'
import { type LiveUpdate, openLiveUpdate } from '../live-update.js'
import type { LiveUpdateOptions } from '../options.js'
import type { World } from '../session.js'
import type { Disk } from '../disk.js'
import { useHash } from '../../verifier/verifier.js'
import { nodeDisk } from './disk.js'
import { fileStorage } from './file-storage.js'
import { nodeHash } from './node-hash.js'
import { zlibCodec } from './zlib-codec.js'
import { randomUuid } from '../random-uuid.js'

/** Options of the Node client. */
export interface NodeLiveUpdateOptions extends LiveUpdateOptions {
  /** Where bundles and state live; private to this app, used by one process at a time. */
  directory: string
  /** The bundle that ships with the app. */
  builtInDirectory: string
  /** For tests: another network, clock or disk. */
  world?: Partial<Pick<World, 'fetch' | 'now'>> & { disk?: Disk }
}

/**
 * Live updates for a program that runs on Node or Electron.
 *
 * ```ts
 * const updates = await createLiveUpdate({ appId, serverUrl, channel: 'production', publicKey, platformKey,
 *   platform: 'electron', appVersionCode: '42', appVersionName: '1.4.0', directory, builtInDirectory })
 * const { directory: page, nonce } = await updates.launch()   // show page/index.html
 * await updates.ready(nonce)                                   // when the page works
 * await updates.sync()                                         // the next launch runs what this staged
 * ```
 *
 * @throws {LiveUpdateError} `CONFIG`, `INSECURE_URL`, `KEY_*`, `CRYPTO_UNAVAILABLE`
 */
export async function createLiveUpdate(options: NodeLiveUpdateOptions): Promise<LiveUpdate> {
  const { directory, builtInDirectory, world, ...rest } = options
  if (!directory || !builtInDirectory) throw new LiveUpdateError('CONFIG', 'directory and builtInDirectory are needed.')
  useHash(nodeHash)
  return openLiveUpdate(rest, {
    storage: fileStorage(directory, builtInDirectory, world?.disk ?? nodeDisk),
    codec: zlibCodec,
    fetch: world?.fetch ?? globalThis.fetch,
    now: world?.now ?? Date.now,
    randomId: randomUuid,
  })
}
