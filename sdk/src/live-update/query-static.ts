import type { sha256Hex } from '../archive/sha256.js'
import { chooseOffer, type ChoiceRules, type StaticChannel, type StaticOffer } from '../release/static-channel.js'
import type { fetchBytes } from './fetch-bytes.js'
import type { LiveUpdateErrorCode } from './live-update-error.js'
import type { Answer, Latest } from './query-latest.js'
import type { Session } from './session.js'

// Nothing but types is imported from the core, as in `send-reports.ts`; what it runs is given to it.

export interface StaticTools extends ChoiceRules {
  fetchBytes: typeof fetchBytes
  sha256Hex: typeof sha256Hex
  refuse(code: LiveUpdateErrorCode, message: string): never
}

export interface StaticDevice {
  deviceId: string
  channel: string
  /** The bundle that it runs, in the server's words. */
  bundleId: string | null
  /** The root that it trusts. */
  rootVersion: number
  now: number
}

/** S3 answers 403 for what is not there to whoever may not list the bucket. */
const absent = [403, 404]
const rootsAtOnce = 100
const maximumBytes = 16 * 1024 * 1024
const digest = /^[0-9a-f]{64}$/

/**
 * Asks a CDN, with plain GET requests that say nothing about the device. What comes back is what the server would have
 * answered, and is believed as little.
 *
 * @throws {LiveUpdateError} `NETWORK`, `TOO_SLOW`, `SERVER_REFUSED`, `ANSWER_MALFORMED`
 */
export async function queryStatic(
  { config, world }: Session,
  device: StaticDevice,
  tools: StaticTools,
): Promise<Answer> {
  const base = `${config.staticUrl}/apps/${encodeURIComponent(config.appId.toLowerCase())}`

  const malformed = (what: string): never =>
    tools.refuse('ANSWER_MALFORMED', `The static object about the latest bundle is malformed: ${what}.`)
  const asDigest = (value: unknown): string =>
    typeof value === 'string' && digest.test(value) ? value : malformed('it names no object')

  async function fetchJson(path: string, mayBeAbsent = false): Promise<unknown> {
    const { transfer } = config
    const headers = { accept: 'application/json' }
    const request = { url: `${base}/${path}`, headers, maximumBytes, transfer }
    const { status, bytes } = await tools.fetchBytes(world.fetch, request)
    if (mayBeAbsent && absent.includes(status)) return null
    if (status < 200 || status > 299)
      tools.refuse('SERVER_REFUSED', `The address of static updates answered with status ${status}.`)
    try {
      return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes ?? new Uint8Array()))
    } catch {
      return malformed('it is not JSON, or too long')
    }
  }

  async function fetchChannel(): Promise<StaticChannel | null> {
    const name = await tools.sha256Hex(new TextEncoder().encode(device.channel))
    const found = (await fetchJson(`channels/${name}-${config.platform}.json`, true)) as Partial<StaticChannel> | null
    if (found === null) return null
    // [S1] another object than the one that was asked for
    const { _type: type, channel, platform, offers, roots, expiresAt } = found
    if (type !== 'capstan-static/v1' || channel !== device.channel || platform !== config.platform)
      malformed('it is about another channel')
    if (!Array.isArray(offers) || !Array.isArray(roots) || (expiresAt !== null && typeof expiresAt !== 'string'))
      malformed('it is no channel object')
    if (roots?.some((root: unknown) => typeof root !== 'object' || root === null)) malformed('it names no root')
    return found as StaticChannel
  }

  /** [S2] Only roots that this device has not learned yet, in order. */
  async function fetchRoots({ roots }: StaticChannel): Promise<unknown[]> {
    const envelopes: unknown[] = []
    for (const { version, sha256 } of roots.slice(-rootsAtOnce))
      if (version > device.rootVersion) envelopes.push(await fetchJson(`roots/${asDigest(sha256)}.json`))
    return envelopes
  }

  async function toLatest(offer: StaticOffer): Promise<Latest> {
    const { bundleId, archive, release } = offer
    if (typeof bundleId !== 'string') malformed('an offer of it names no bundle')
    const beside = archive === null ? base : `${base}/archives/${asDigest(archive)}.zip`
    // [S6] a patch away from what this device runs
    const patches = (Array.isArray(offer.patches) ? offer.patches : [])
      .filter((patch: StaticOffer['patches'][number] | null) => patch?.fromBundleId === device.bundleId)
      .map(({ from, sha256, sizeBytes }) => ({ from, url: `${base}/patches/${asDigest(sha256)}`, sizeBytes }))
    return {
      artifactType: 'zip',
      bundleId,
      url: offer.url ?? beside,
      signature: null,
      release: release === null ? null : await fetchJson(`releases/${asDigest(release)}.json`),
      channelStatement: offer.channelStatement,
      patches,
    }
  }

  const channel = await fetchChannel()
  if (channel === null) return { latest: null, roots: [] }
  const roots = await fetchRoots(channel)
  const { deviceId, now } = device
  const offer = await chooseOffer(channel, { deviceId, versionCode: config.appVersionCode, now }, tools).catch(() =>
    malformed('its offers cannot be read'),
  )
  return { latest: offer === null ? null : await toLatest(offer), roots }
}
