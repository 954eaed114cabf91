import { createHash, randomUUID } from 'node:crypto'
import { chooseStaticOffer, type Platform, platforms, type StaticChannel } from '@capstan/sdk/release'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Body, type LiveUpdateApp, zipOf } from './live-update-app.js'
import { createStaticLab, publishRelease, type StaticLab } from './static-lab.js'

const DEVICES = 10_000
const HOUR = 3_600_000

let lab: StaticLab
let app: LiveUpdateApp

/** A channel in each state that a device can meet. */
const states = {
  everybody: async (channel: string) => publish(channel, 1),
  tenth: async (channel: string) => ladder(channel, [1, 0.1]),
  ladder: async (channel: string) => ladder(channel, [1, 0.5, 0.25, 0.01]),
  nobody: async (channel: string) => publish(channel, 0),
  first: async (channel: string) => publish(channel, 0.3),
  paused: async (channel: string) => {
    await publish(channel, 1)
    await app.must('POST', `/channels/${await idOf(channel)}/pause`)
  },
  resumed: async (channel: string) => {
    await states.paused(channel)
    await app.must('POST', `/channels/${await idOf(channel)}/resume`)
  },
  ended: async (channel: string) => ending(channel, HOUR),
  ending: async (channel: string) => ending(channel, 3 * HOUR),
  'rolled-back': async (channel: string) => ladder(channel, [1, 1, 1]),
  'rolled-back in part': async (channel: string) => ladder(channel, [1, 1, 0.5]),
  'rolled-back without statements': async (channel: string) => {
    const { appBuildId } = await publishUnsigned(channel)
    await publishUnsigned(channel)
    await app.must('POST', '/deployments', { appBuildId, appChannelName: channel, rolloutPercentage: 0.5 })
  },
  'from native 10': async (channel: string) =>
    publish(channel, 1, { minAndroidAppVersionCode: '10', minIosAppVersionCode: '1.10' }),
  'to native 10': async (channel: string) => publish(channel, 1, { maxAndroidAppVersionCode: '10' }),
  'not native 10': async (channel: string) =>
    publish(channel, 1, { eqAndroidAppVersionCode: '10', eqIosAppVersionCode: '10' }),
  'new natives, partly': async (channel: string) => {
    await publish(channel, 1)
    await publish(channel, 0.5, { minAndroidAppVersionCode: '10' })
  },
  'über + "quoted"': async (channel: string) => publish(channel, 1),
  'without deployment': async () => undefined,
  unsigned: async (channel: string) => publishUnsigned(channel),
}
const names = Object.keys(states)
let sequence = 0

async function publish(channel: string, rolloutPercentage: number, bundle: object = {}): Promise<Body> {
  sequence += 1
  const files = { 'index.html': `${channel} ${sequence}` }
  const now = lab.clock.now
  return publishRelease(app, { channel, sequence, files, bundle: { rolloutPercentage, ...bundle }, now })
}

async function publishUnsigned(channel: string): Promise<Body> {
  sequence += 1
  const zip = zipOf({ 'index.html': `unsigned ${sequence}` })
  const { bundle, response } = await app.publishZip(zip, { bundle: { channelName: channel } })
  expect(response.status).toBe(200)
  return bundle
}

async function ladder(channel: string, shares: readonly number[]): Promise<void> {
  for (const share of shares) await publish(channel, share)
}

async function ending(channel: string, afterMs: number): Promise<void> {
  await publish(channel, 1)
  const expiresAt = new Date(lab.clock.now + afterMs).toISOString()
  await app.must('PATCH', `/channels/${await idOf(channel)}`, { expiresAt })
}

async function idOf(channel: string): Promise<string> {
  const [found] = await app.must<Body[]>('GET', `/channels?name=${encodeURIComponent(channel)}`)
  return found!.id
}

beforeAll(async () => {
  lab = await createStaticLab()
  app = await lab.createApp(names)
  for (const [name, reach] of Object.entries(states)) await reach(name)
  await lab.publishStatic()
  // One of the channels ends, by the clock alone.
  lab.clock.now += 2 * HOUR
})
afterAll(() => lab[Symbol.asyncDispose]())

type Device = { deviceId: string; channel: string; platform: Platform; versionCode: string }

function invent(count: number): Device[] {
  const codes = ['1', '9', '10', '11', '1.9.3', '1.10', '10.0', 'beta', '']
  const channels = [...names, 'unknown']
  return Array.from({ length: count }, (_, index) => {
    const digest = createHash('sha256').update(`device ${index}`).digest()
    const pick = <T>(from: readonly T[], at: number): T => from[digest.readUInt16BE(at) % from.length]!
    return {
      deviceId: randomUUID(),
      channel: pick(channels, 0),
      platform: pick(platforms, 2),
      versionCode: pick(codes, 4),
    }
  })
}

/** What a device is told, apart from where bytes lie and when the statement was issued. */
type Told = { bundleId: string; release: unknown; states: unknown; rollout: unknown } | null

function toldBy(answer: { bundleId: string; release?: unknown; channelStatement?: { payload: string } | null }): Told {
  const payload = answer.channelStatement?.payload ?? null
  const statement = payload === null ? null : (JSON.parse(Buffer.from(payload, 'base64').toString()) as Body)
  return {
    bundleId: answer.bundleId,
    release: answer.release ?? null,
    states: statement?.['release'],
    rollout: statement?.['rollout'],
  }
}

async function askServer({ deviceId, channel, platform, versionCode }: Device): Promise<Told> {
  const query = new URLSearchParams({ deviceId, channelName: channel, platform: String(platforms.indexOf(platform)) })
  const response = await app.latest(`${query.toString().replaceAll('+', '%20')}&appVersionCode=${versionCode}`)
  if (response.status === 404) return null
  expect(response.status).toBe(200)
  return toldBy(await response.json<Body>())
}

const fetched = new Map<string, Promise<unknown>>()
function fetchObject(path: string): Promise<unknown> {
  const asked =
    fetched.get(path) ??
    lab.fixture
      .request('GET', `/static/apps/${app.appId}/${path}`)
      .then(async (response) => (response.status === 404 ? null : response.json()))
  fetched.set(path, asked)
  return asked
}

async function askStatic({ deviceId, channel, platform, versionCode }: Device): Promise<Told> {
  const name = createHash('sha256').update(channel).digest('hex')
  const object = (await fetchObject(`channels/${name}-${platform}.json`)) as StaticChannel | null
  if (object === null) return null
  const offer = await chooseStaticOffer(object, { deviceId, versionCode, now: lab.clock.now })
  if (offer === null) return null
  return toldBy({
    ...offer,
    release: offer.release === null ? null : await fetchObject(`releases/${offer.release}.json`),
  })
}

test(`server and static objects tell each of ${DEVICES} devices the same, in every state of a channel`, async () => {
  const devices = invent(DEVICES)
  const counts = new Map<string, { offered: number; not: number }>()
  for (const device of devices) {
    const [server, fromCdn] = await Promise.all([askServer(device), askStatic(device)])
    if (JSON.stringify(server) !== JSON.stringify(fromCdn)) expect(fromCdn, JSON.stringify(device)).toEqual(server)
    const count = counts.get(device.channel) ?? { offered: 0, not: 0 }
    count[server === null ? 'not' : 'offered'] += 1
    counts.set(device.channel, count)
  }
  // No state was compared by silence alone, and none that divides devices by saying the same to all.
  const silent = ['nobody', 'paused', 'ended', 'without deployment', 'unknown']
  const dividing = ['first', 'from native 10', 'to native 10', 'not native 10', 'new natives, partly']
  for (const [channel, { offered, not }] of counts) {
    expect(offered > 0, channel).toBe(!silent.includes(channel))
    expect(not > 0, channel).toBe(silent.includes(channel) || dividing.includes(channel))
  }
  expect(counts.size).toBe(names.length + 1)
})

test('a device that somebody tied to a channel is known to the server alone', async () => {
  // Of the app above so many devices asked that no more are written down.
  app = await lab.createApp(['everybody', 'nobody'])
  await states.everybody('everybody')
  await states.nobody('nobody')
  fetched.clear()
  await lab.publishStatic()
  const device: Device = { deviceId: randomUUID(), channel: 'nobody', platform: 'android', versionCode: '10' }
  expect(await askServer(device)).toBeNull()
  await lab.fixture.deps.checkIns.flush()
  await app.must('PATCH', `/devices?ids=${device.deviceId}`, { forcedAppChannelId: await idOf('everybody') })
  expect(await askServer(device)).not.toBeNull()
  expect(await askStatic(device)).toBeNull()
})
