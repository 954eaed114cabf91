import {
  appId,
  bundle,
  customer,
  platformKeys,
  type ReleaseChange,
  releaseOf,
  replyJson,
  signBytes,
  startServer,
  type UpdateServer,
} from '../update-fixture.js'
import type { ClientSettings } from './contract.js'

/** A server that holds whatever an attack says it holds: the network, the platform's key, the customer's key. */
export interface HostileServer {
  http: UpdateServer
  settings(profile: ClientSettings['profile'], change?: Partial<ClientSettings>): ClientSettings
  /** The number of the next release; honest offers take one each. */
  sequence: number
  /** What the device accepted last. */
  accepted: { version: string; sequence: number; zip: Uint8Array<ArrayBuffer> }
  /** A bundle that the device ran before that. */
  leftBehind: Uint8Array<ArrayBuffer>
  /** Offers a bundle to the compat profile, signed by the customer unless told otherwise. */
  offerCompat(zip: Uint8Array<ArrayBuffer>, answer?: object, headers?: Record<string, string>): void
  /** Offers a bundle with both statements, honest unless told otherwise. `served` is what the download gives. */
  offerRelease(
    zip: Uint8Array<ArrayBuffer>,
    change?: ReleaseChange & { sequence?: number; served?: Uint8Array; answer?: object },
  ): Promise<void>
  /** An update that every client must take; its version. */
  offerHonest(profile: ClientSettings['profile']): Promise<string>
}

export async function startHostileServer(platform: ClientSettings['platform']): Promise<HostileServer> {
  const http = await startServer()
  let names = 0
  const hostile: HostileServer = {
    http,
    sequence: 1,
    accepted: { version: 'built-in', sequence: 0, zip: new Uint8Array() },
    leftBehind: new Uint8Array(),
    settings: (profile, change = {}) => ({
      serverUrl: http.url,
      appId,
      channel: 'production',
      profile,
      publicKey: customer.publicKey,
      ...(profile === 'release' ? { platformKey: platformKeys.publicKey } : {}),
      platform,
      appVersionCode: '7',
      appVersionName: '1.2.3',
      ...change,
    }),
    offerCompat(zip, answer = {}, headers = { 'x-signature': signBytes(zip) }) {
      http.publish(`compat-${++names}`, zip, answer, headers)
    },
    async offerRelease(zip, change = {}) {
      const sequence = change.sequence ?? ++hostile.sequence
      const { release, channelStatement } = await releaseOf(zip, sequence, {
        ...change,
        release: { platforms: [platform], bundleId: `release-${++names}`, ...change.release },
        channel: { platform, ...change.channel },
      })
      http.publish(`release-${names}`, zip, { release, channelStatement, ...change.answer })
      const { served } = change
      if (served) http.download = (_request, response) => void response.writeHead(200).end(served)
    },
    async offerHonest(profile) {
      const version = `honest ${++names}`
      const zip = bundle(version)
      if (profile === 'compat') hostile.offerCompat(zip)
      else await hostile.offerRelease(zip)
      hostile.leftBehind = hostile.accepted.zip
      hostile.accepted = { version, sequence: hostile.sequence, zip }
      return version
    },
  }
  return hostile
}

export { replyJson }
