import { type Platform } from '../release/index.js'
import { type Fetch, fetchBytes } from './fetch-bytes.js'
import { LiveUpdateError } from './live-update-error.js'
import type { Config } from './options.js'

const maximumAnswerBytes = 16 * 1024 * 1024
const platformNumbers: Record<Platform, string> = { android: '0', ios: '1', electron: '2', web: '3' }
const clientVersion = '0.1.0'

/** What the server says is the latest bundle for this device; nothing of it is believed yet. */
export interface Latest {
  artifactType: 'zip' | 'manifest'
  bundleId: string
  url: string
  signature: unknown
  release: unknown
  channelStatement: unknown
  patches: unknown
}

/** `latest` is `null` when there is no bundle for this device; roots come all the same, oldest first. */
export interface Answer {
  latest: Latest | null
  roots: unknown[]
}

/** The device header that every request carries. */
export function deviceHeaders(deviceId: string): Record<string, string> {
  return { 'x-capawesome-device-id': deviceId }
}

function latestUrl(config: Config, device: { deviceId: string; channel: string; bundleId: string | null }): string {
  const query = new URLSearchParams({
    appVersionCode: config.appVersionCode,
    appVersionName: config.appVersionName,
    deviceId: device.deviceId,
    osVersion: config.osVersion ?? '0',
    platform: platformNumbers[config.platform],
    pluginVersion: clientVersion,
  })
  if (device.bundleId !== null) query.set('bundleId', device.bundleId)
  if (device.channel !== '') query.set('channelName', device.channel)
  if (config.customId !== undefined) query.set('customId', config.customId)
  if (config.platform === 'electron') query.set('runtime', 'electron')
  // RFC 3986: the device protocol takes a plus for a plus.
  const encoded = query.toString().replaceAll('+', '%20')
  return `${config.serverUrl}/v1/apps/${encodeURIComponent(config.appId)}/bundles/latest?${encoded}`
}

function malformed(what: string): never {
  throw new LiveUpdateError('ANSWER_MALFORMED', `The server's answer about the latest bundle is malformed: ${what}.`)
}

type Members = Record<string, unknown>

/** Without any for what is no JSON object, or was longer than allowed. */
function readMembers(bytes: Uint8Array | null): Members {
  try {
    return Object(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes ?? undefined))) as Members
  } catch {
    return {}
  }
}

function parseLatest(members: Members): Latest {
  const { artifactType, bundleId, url, signature, release, channelStatement, patches } = members
  if (artifactType !== 'zip' && artifactType !== 'manifest') malformed('it is not JSON, or its artifactType is unknown')
  if (typeof bundleId !== 'string' || !/^[\w.-]{1,200}$/.test(bundleId)) malformed('its bundleId is not an identifier')
  if (typeof url !== 'string') malformed('it has no url')
  return { artifactType, bundleId, url, signature, release, channelStatement, patches }
}

/**
 * Asks the server for the latest bundle.
 *
 * @throws {LiveUpdateError} `NETWORK`, `TOO_SLOW`, `SERVER_REFUSED`, `ANSWER_MALFORMED`
 */
export async function queryLatest(
  fetch: Fetch,
  config: Config,
  device: { deviceId: string; channel: string; bundleId: string | null },
): Promise<Answer> {
  const { status, bytes } = await fetchBytes(fetch, {
    url: latestUrl(config, device),
    headers: { ...deviceHeaders(device.deviceId), accept: 'application/json' },
    maximumBytes: maximumAnswerBytes,
    transfer: config.transfer,
  })
  if (status !== 404 && (status < 200 || status > 299))
    throw new LiveUpdateError('SERVER_REFUSED', `The server answered with status ${status}.`)
  const members = readMembers(bytes)
  const { roots } = members
  // Whatever else says 404 on the way, such as a proxy with a page of its own, means the same.
  return {
    latest: status === 404 ? null : parseLatest(members),
    roots: Array.isArray(roots) ? roots.slice(0, 100) : [],
  }
}
