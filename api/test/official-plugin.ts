import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto'
import { readAsAndroid, readAsIos, type Update } from './official-answers.js'

const manifestName = 'capawesome-live-update-manifest.json'
const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

export type PluginOptions = {
  platform: 'android' | 'ios'
  serverUrl: string
  appId: string
  channel: string | null
  /** PEM; then every downloaded file must be signed. */
  publicKey?: string
  customId?: string
  /** iOS before 8.4 and Cordova: the body of an error is taken for the file. */
  keepsErrorBodies?: boolean
  /** The network between. */
  tamper?: (bytes: Uint8Array) => Uint8Array
}

type Item = { checksum: string; href: string; sizeInBytes: number }
type Files = Map<string, Uint8Array>
type Verified = { bytes: Uint8Array; contentLength: string | null }

/**
 * A device with an official plugin, as far as a server can tell: its requests byte for byte, what it parses, what it
 * verifies, and what it stores. Written from the protocol (c.2 to c.6 of the contract of the official clients).
 */
export class OfficialPlugin {
  readonly #options: PluginOptions
  readonly #key: KeyObject | null
  readonly deviceId: string
  /** What the app runs; the built-in bundle has no id and no manifest. */
  current: { bundleId: string | null; files: Files } = { bundleId: null, files: new Map() }
  requests: string[] = []

  constructor(options: PluginOptions) {
    this.#options = options
    this.#key = options.publicKey === undefined ? null : createPublicKey(options.publicKey)
    this.deviceId = globalThis.crypto.randomUUID()
  }

  /** `null` when there is no update. Throws what the plugin would reject with. */
  async fetchLatestBundle(): Promise<Update | null> {
    const response = await this.#get(this.#latestUrl())
    if (!response.ok) return null
    const text = await response.text()
    return this.#options.platform === 'android' ? readAsAndroid(text) : readAsIos(text)
  }

  /** One `sync`: the id of the bundle that runs next, or `null`. */
  async sync(): Promise<string | null> {
    const update = await this.fetchLatestBundle()
    if (update === null || update.bundleId === this.current.bundleId) return null
    return this.takeUpdate(update)
  }

  async takeUpdate(update: Update): Promise<string> {
    const files = update.artifactType === 'manifest' ? await this.#byManifest(update) : await this.#byZip(update)
    this.current = { bundleId: update.bundleId, files }
    return update.bundleId
  }

  /** Android sends null as a key without a value; iOS leaves the key out, in no order, and a plus as it is. */
  #latestUrl(): string {
    const { appId, channel, customId = null, platform, serverUrl } = this.#options
    const fields: [string, string | null][] = [
      ['appVersionCode', '10'],
      ['appVersionName', '1.0.0'],
      ['bundleId', this.current.bundleId],
      ['channelName', channel],
      ['customId', customId],
      ['deviceId', this.deviceId],
      ['osVersion', platform === 'android' ? '34' : '18.1'],
      ['platform', platform === 'android' ? '0' : '1'],
      ['pluginVersion', '8.4.3'],
    ]
    const android = fields.map(([name, value]) => (value === null ? name : `${name}=${encodeURIComponent(value)}`))
    const ios = fields.flatMap(([name, value]) => (value === null ? [] : [`${name}=${this.#encode(value)}`]))
    const query = platform === 'android' ? android : ios.toSorted(() => Math.random() - 0.5)
    return `${serverUrl}/v1/apps/${appId}/bundles/latest?${query.join('&')}`
  }

  #encode(value: string): string {
    const encoded = encodeURIComponent(value)
    return this.#options.platform === 'ios' ? encoded.replaceAll('%2B', '+') : encoded
  }

  async #get(url: string): Promise<Response> {
    this.requests.push(url)
    const android = this.#options.platform === 'android'
    return fetch(url, {
      headers: {
        'x-capawesome-device-id': this.deviceId,
        'user-agent': android ? 'okhttp/5.3.2' : 'Shop/1.0.0 (com.example.shop; build:10; iOS 18.1.0) Alamofire/5.10.2',
        'accept-encoding': android ? 'br, gzip' : 'br;q=1.0, gzip;q=0.9, deflate;q=0.8',
      },
    })
  }

  async #download(url: string, json: { checksum: string | null; signature: string | null }): Promise<Verified> {
    const response = await this.#get(url)
    if (!response.ok && this.#options.keepsErrorBodies !== true) throw new Error('Bundle could not be downloaded.')
    const received = new Uint8Array(await response.arrayBuffer())
    const bytes = this.#options.tamper?.(received) ?? received
    this.#verify(bytes, {
      checksum: json.checksum ?? response.headers.get('x-checksum'),
      signature: json.signature ?? response.headers.get('x-signature'),
    })
    return { bytes, contentLength: response.headers.get('content-length') }
  }

  /** With a key a signature is a must and a checksum means nothing; without one a checksum counts if there is one. */
  #verify(bytes: Uint8Array, claimed: { checksum: string | null; signature: string | null }): void {
    if (this.#key) {
      if (claimed.signature === null) throw new Error('Bundle does not contain a signature.')
      const good = base64.test(claimed.signature)
      const signature = Buffer.from(claimed.signature, 'base64')
      if (!good || !verify('sha256', bytes, this.#key, signature)) throw new Error('Signature verification failed.')
    } else if (claimed.checksum !== null) {
      const checksum = createHash('sha256').update(bytes).digest('hex')
      if (checksum !== claimed.checksum) throw new Error('Checksum verification failed.')
    }
  }

  async #byZip(update: Update): Promise<Files> {
    const { bytes, contentLength } = await this.#download(update.url, update)
    // Its progress bar counts bytes up to this.
    if (contentLength !== String(bytes.length)) throw new Error('The length of the download is not known.')
    return new Map([['bundle.zip', bytes]])
  }

  /** Android appends to the query of the address, iOS puts its own in its place. */
  #fileUrl(url: string, href: string): string {
    const query = `href=${this.#encode(href)}`
    if (this.#options.platform === 'ios') return `${url.split('?')[0]}?${query}`
    return url.includes('?') ? `${url}&${query}` : `${url}?${query}`
  }

  /** Copies by the new path what has a known checksum, and downloads the rest; copies are not verified. */
  async #byManifest(update: Update): Promise<Files> {
    const none = { checksum: null, signature: null }
    const manifest = await this.#download(this.#fileUrl(update.url, manifestName), none)
    const items = this.#readManifest(manifest.bytes)
    const old = this.current.files
    const known = new Set(old.has(manifestName) ? this.#readManifest(old.get(manifestName)).map((i) => i.checksum) : [])
    const files: Files = new Map([[manifestName, manifest.bytes]])
    await Promise.all(
      items.map(async ({ checksum, href }) => {
        const copied = known.has(checksum) ? old.get(href) : undefined
        files.set(href, copied ?? (await this.#download(this.#fileUrl(update.url, href), none)).bytes)
      }),
    )
    return files
  }

  #readManifest(bytes: Uint8Array | undefined): Item[] {
    const items = JSON.parse(Buffer.from(bytes ?? []).toString()) as Item[]
    for (const item of items) {
      const types = `${typeof item.checksum} ${typeof item.href} ${typeof item.sizeInBytes}`
      if (this.#options.platform === 'ios' && types !== 'string string number') throw new Error('The data is wrong.')
    }
    return items
  }
}
