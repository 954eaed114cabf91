import { validate as isUuid } from 'uuid'
import type { Deps } from '../context.js'
import { Problem } from '../problems.js'
import { type CheckForUpdate, decide } from './decide.js'
import { type AnswerBody, rootsOf } from './make-answer.js'
import { type DeviceQuery, readDeviceQuery } from './read-device-query.js'

export type Check = {
  appId: string
  /** The address that was asked for, or its end from the question mark on. */
  url: string
  /** Where the device asks from. */
  address: string
  /** A person who looks what a device would get: it is not written down that the device asked. */
  isProbe: boolean
}

/** The answer to one check, made of what is in memory. Anything but an update is a `Problem`. */
export function answerCheck(deps: Deps, { appId, url, address, isProbe }: Check): AnswerBody {
  const app = deps.published.find(appId)
  if (!app) throw new Problem('not-found')
  const asked = readAsked(app.id, readDeviceQuery(url))
  const now = deps.now().getTime()
  const { deviceId } = asked
  if (!isProbe && deviceId !== null && deps.isTooOften({ address, appId: app.id, deviceId }, now)) {
    throw new Problem('too-many-requests', 'This device asked many times within a minute. Ask again in a minute.')
  }
  const decision = decide(app, asked, now)
  if (!isProbe) deps.checkIns.note({ app, asked, address, decision, now })
  if ('refusal' in decision) throw new Problem('no-update', decision.refusal, rootsOf(app))
  const { channel, offer } = decision
  return deps.makeAnswer({ app, channel, offer, platform: asked.platform, runs: asked.bundleId }, now)
}

const PLATFORMS = ['0', '1', '2', '3']
const MAX_TEXT = 200
const MAX_DEVICE_ID = 128

function readAsked(appId: string, query: DeviceQuery): CheckForUpdate {
  const platform = query.get('platform')
  if (platform === null || !PLATFORMS.includes(platform)) {
    throw new Problem('request-invalid', 'platform: send 0 for Android, 1 for iOS, 2 for Electron, 3 for the web.')
  }
  const text = (name: string, most = MAX_TEXT) => {
    const value = query.get(name)
    if (value !== null && value.length > most)
      throw new Problem('request-invalid', `${name}: at most ${most} characters.`)
    return value
  }
  return {
    appId,
    deviceId: text('deviceId', MAX_DEVICE_ID),
    platform: Number(platform),
    osVersion: text('osVersion'),
    appVersionCode: text('appVersionCode'),
    appVersionName: text('appVersionName'),
    pluginVersion: text('pluginVersion'),
    customId: text('customId'),
    bundleId: toBundleId(text('bundleId')),
    channelNames: query.readings('channelName'),
  }
}

/** Old plugins name the built-in bundle "public". */
function toBundleId(text: string | null): string | null {
  return text !== null && isUuid(text) ? text.toLowerCase() : null
}
