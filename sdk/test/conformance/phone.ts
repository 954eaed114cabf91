import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import {
  createLiveUpdate,
  type FilesystemPlugin,
  LiveUpdateError,
  type LiveUpdate,
  type PreferencesPlugin,
  type WebViewPlugin,
} from '../../src/live-update/capacitor/index.js'
import { shown } from '../update-fixture.js'
import type { Answer, ClientSettings, ConformanceClient } from './contract.js'

/** The plugins as Capacitor documents them, over real files: what exists is not overwritten by a rename, parents must exist. */
export class Phone {
  readonly home = mkdtempSync(join(tmpdir(), 'capstan phone-'))
  readonly builtIn = join(this.home, 'public')
  readonly files = join(this.home, 'data files')
  readonly preferencesPath = join(this.home, 'preferences.json')
  basePath = this.builtIn
  /** Called when the web view leaves its page for another bundle. */
  onLeave = (): void => {}
  /** Steps that change something; the phone dies at the given one. */
  steps = 0
  dieAt = 0

  constructor() {
    for (const path of [this.builtIn, this.files]) mkdirSync(path)
    writeFileSync(join(this.builtIn, 'index.html'), '<p>built-in</p>')
  }

  #step(): void {
    this.steps++
    if (this.dieAt !== 0 && this.steps >= this.dieAt) throw new Error('the phone lost its power')
  }

  #at({ path, directory }: { path: string; directory: string }): string {
    if (directory !== 'DATA') throw new Error('unknown directory')
    return join(this.files, path)
  }

  readonly filesystem: FilesystemPlugin = {
    mkdir: async (options) => {
      this.#step()
      if (existsSync(this.#at(options))) throw new Error('Directory exists')
      mkdirSync(this.#at(options), { recursive: options.recursive })
    },
    writeFile: async (options) => {
      const content = Buffer.from(options.data, 'base64')
      if (this.steps + 1 === this.dieAt) writeFileSync(this.#at(options), content.subarray(0, content.length >> 1))
      this.#step()
      if (!existsSync(dirname(this.#at(options)))) throw new Error('Parent folder does not exist')
      writeFileSync(this.#at(options), content)
    },
    readFile: async (options) => ({ data: readFileSync(this.#at(options)).toString('base64') }),
    readdir: async (options) => ({
      files: readdirSync(this.#at(options)).map((name) => ({
        name,
        type: statSync(join(this.#at(options), name)).isDirectory() ? 'directory' : 'file',
      })),
    }),
    rename: async ({ from, to, directory }) => {
      this.#step()
      const target = this.#at({ path: to, directory })
      if (existsSync(target)) throw new Error('Target exists')
      renameSync(this.#at({ path: from, directory }), target)
    },
    rmdir: async (options) => {
      this.#step()
      rmSync(this.#at(options), { recursive: options.recursive })
    },
    getUri: async (options) => ({ uri: pathToFileURL(this.#at(options)).href }),
  }

  #preferences(): Record<string, string> {
    return existsSync(this.preferencesPath)
      ? (JSON.parse(readFileSync(this.preferencesPath, 'utf8')) as Record<string, string>)
      : {}
  }

  readonly preferences: PreferencesPlugin = {
    get: async ({ key }) => ({ value: this.#preferences()[key] ?? null }),
    set: async ({ key, value }) => {
      this.#step()
      writeFileSync(this.preferencesPath, JSON.stringify({ ...this.#preferences(), [key]: value }))
    },
  }

  readonly webView: WebViewPlugin = {
    getServerBasePath: async () => ({ path: this.basePath }),
    setServerBasePath: async ({ path }) => {
      this.basePath = path
      this.onLeave()
    },
  }

  /** The client as the page that is shown now opens it. */
  open(
    settings: Omit<ClientSettings, 'platform'> & { platform: 'android' | 'ios' | 'electron' | 'web' },
  ): Promise<LiveUpdate> {
    return createLiveUpdate({
      ...settings,
      filesystem: this.filesystem,
      preferences: this.preferences,
      webView: this.webView,
    })
  }

  /** Runs what may switch to another bundle until it ends, or the page that asked for it is gone. */
  async leave(run: () => Promise<unknown>): Promise<'left' | 'stayed'> {
    const left = new Promise<'left'>((resolve) => (this.onLeave = () => resolve('left')))
    const stayed = run().then(() => 'stayed' as const)
    // It ends in an error when a page is not gone after all.
    stayed.catch(() => null)
    return Promise.race([left, stayed])
  }

  /** A cold start: the built-in bundle's loader first, then the page that it switched to. */
  async start(
    settings: ClientSettings,
  ): Promise<{ updates: LiveUpdate; bundleId: string | null; nonce: string | null; page: string }> {
    this.basePath = this.builtIn
    const loader = await this.open(settings)
    await this.leave(() => loader.launch())
    const updates = await this.open(settings)
    const { bundleId, nonce } = this.basePath === this.builtIn ? await updates.current() : await updates.launch()
    return { updates, bundleId, nonce, page: shown(this.basePath) }
  }

  remove(): void {
    rmSync(this.home, { recursive: true, force: true })
  }
}

/** The Capacitor client on such a phone, under the command contract. */
export function phoneClient(): ConformanceClient {
  let phone: Phone | null = null
  let settings: ClientSettings
  let updates: LiveUpdate
  async function answer<T extends object>(run: () => Promise<T>): Promise<Answer<T>> {
    try {
      return { ok: true, ...(await run()) }
    } catch (error) {
      return { ok: false, code: error instanceof LiveUpdateError ? error.code : String(error) }
    }
  }
  return {
    init: (given) =>
      answer(async () => {
        phone?.remove()
        phone = new Phone()
        settings = given
        updates = await phone.open(settings)
        return {}
      }),
    sync: () => answer(() => updates.sync()),
    current: () =>
      answer(async () => {
        const started = await phone!.start(settings)
        updates = started.updates
        await updates.ready(started.nonce)
        return { bundleId: started.bundleId, page: started.page }
      }),
    close: async () => phone?.remove(),
  }
}
