import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest'
import { createLiveUpdate, type LiveUpdate, type LiveUpdateEvent } from '../src/live-update/node/index.js'
import {
  bundle,
  type Device,
  makeDevice,
  releaseOf,
  shown,
  signBytes,
  staged,
  startServer,
  type UpdateServer,
} from './update-fixture.js'

export const compat = { profile: 'compat' as const }

/** A server for a test file, and a fresh device for each test. */
export interface Lab {
  server: UpdateServer
  device: Device
  open: (change?: object) => Promise<LiveUpdate>
  /** Installs and confirms a version, as an app does over two starts. */
  install: (version: string, change?: object) => Promise<void>
  publishRelease: (version: string, sequence: number, change?: Parameters<typeof releaseOf>[2]) => Promise<void>
  /** The sync is refused with this code, nothing is left behind, and the version keeps running. */
  expectRefused: (updates: LiveUpdate, code: string, running: string) => Promise<void>
}

export function useLab(): Lab {
  const lab = { open, install, publishRelease, expectRefused } as Lab
  beforeAll(async () => {
    lab.server = await startServer()
  })
  afterAll(() => lab.server.close())
  beforeEach(() => {
    lab.device = makeDevice(lab.server.url)
    lab.server.requests.length = 0
  })
  afterEach(() => lab.device.remove())

  function open(change: object = {}): Promise<LiveUpdate> {
    return createLiveUpdate({ ...lab.device.options, ...change })
  }

  async function install(version: string, change: object = compat): Promise<void> {
    const zip = bundle(version)
    lab.server.publish(`id-${version}`, zip, {}, { 'x-signature': signBytes(zip) })
    const updates = await open(change)
    expect(await updates.sync()).toEqual({ status: 'staged', bundleId: `id-${version}` })
    const launch = await updates.launch()
    expect(shown(launch.directory)).toBe(version)
    await updates.ready(launch.nonce)
  }

  async function publishRelease(
    version: string,
    sequence: number,
    change: Parameters<typeof releaseOf>[2] = {},
  ): Promise<void> {
    const zip = bundle(version)
    const { release, channelStatement } = await releaseOf(zip, sequence, change)
    lab.server.publish(`bundle-${sequence}`, zip, { release, channelStatement })
  }

  async function expectRefused(updates: LiveUpdate, code: string, running: string): Promise<void> {
    const events: LiveUpdateEvent[] = []
    const stop = updates.subscribe((event) => events.push(event))
    await expect(updates.sync()).rejects.toMatchObject({ name: 'LiveUpdateError', code })
    stop()
    expect(events.filter((event) => event.type === 'refused')).toMatchObject([{ code }])
    expect(staged(lab.device)).toEqual([])
    expect(shown((await (await open(compat)).current()).directory)).toBe(running)
    expect(shown((await updates.launch()).directory)).toBe(running)
  }

  return lab
}
