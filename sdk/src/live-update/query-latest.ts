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
  roots: unknown[]
  patches: unknown
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

function parseLatest(bytes: Uint8Array): Latest {
  let answer: Record<string, unknown>
  try {
    answer = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as Record<string, unknown>
  } catch {
    return malformed('it is not JSON')
  }
  if (typeof answer !== 'object' || answer === null) malformed('it is not an object')
  const { artifactType, bundleId, url, roots } = answer
  if (artifactType !== 'zip' && artifactType !== 'manifest') malformed('its artifactType is unknown')
  if (typeof bundleId !== 'string' || !/^[\w.-]{1,200}$/.test(bundleId)) malformed('its bundleId is not an identifier')
  if (typeof url !== 'string') malformed('it has no url')
  return {
    artifactType,
    bundleId,
    url,
    signature: answer['signature'],
    release: answer['release'],
    channelStatement: answer['channelStatement'],
    roots: Array.isArray(roots) ? roots.slice(0, 100) : [],
    patches: answer['patches'],
  }
}

/**
 * Asks the server for the latest bundle.
 *
 * @returns `null` when there is none for this device
 * @throws {LiveUpdateError} `NETWORK`, `TOO_SLOW`, `SERVER_REFUSED`, `ANSWER_MALFORMED`
 */
export async function queryLatest(
  fetch: Fetch,
  config: Config,
  device: { deviceId: string; channel: string; bundleId: string | null },
): Promise<Latest | null> {
  const { status, bytes } = await fetchBytes(fetch, {
    url: latestUrl(config, device),
    headers: { ...deviceHeaders(device.deviceId), accept: 'application/json' },
    maximumBytes: maximumAnswerBytes,
    transfer: config.transfer,
  })
  if (status === 404) return null
  if (status < 200 || status > 299)
    throw new LiveUpdateError('SERVER_REFUSED', `The server answered with status ${status}.`)
  if (bytes === null) malformed('it is too long')
  return parseLatest(bytes)
}
