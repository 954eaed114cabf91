import { afterEach, describe, expect, test, vi } from 'vitest'
import type { LiveUpdate, LiveUpdateEvent } from '../src/live-update/node/index.js'
import { bundle, shown, signBytes } from './update-fixture.js'
import { compat, useLab } from './update-lab.js'

const lab = useLab()

function offer(version: string): void {
  const zip = bundle(version)
  lab.server.publish(`id-${version}`, zip, {}, { 'x-signature': signBytes(zip) })
}

/** The next event of a kind. */
function event(updates: LiveUpdate, type: LiveUpdateEvent['type']): Promise<LiveUpdateEvent> {
  return new Promise((resolve) => {
    const stop = updates.subscribe((seen) => {
      if (seen.type !== type) return
      stop()
      resolve(seen)
    })
  })
}

describe('strategies', () => {
  afterEach(() => vi.useRealTimers())

  test('manual: a launch asks the server nothing', async () => {
    offer('one')
    const updates = await lab.open(compat)
    expect((await updates.launch()).bundleId).toBeNull()
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(lab.server.requests).toEqual([])
  })

  test('next-start: a launch fetches in the background, the next one runs it', async () => {
    offer('one')
    const updates = await lab.open({ ...compat, strategy: 'next-start' })
    const staged = event(updates, 'staged')
    expect((await updates.launch()).bundleId).toBeNull()
    await staged
    const next = await (await lab.open(compat)).launch()
    expect(shown(next.directory)).toBe('one')
  })

  test('background: looks again while the app runs, until it is stopped', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    lab.server.latest = (_request, response) => void response.writeHead(404).end('{}')
    const updates = await lab.open({ ...compat, strategy: 'background', intervalMs: 60_000 })
    await updates.launch()
    await expect.poll(() => lab.server.requests.length).toBe(1)
    offer('one')
    const staged = event(updates, 'staged')
    vi.advanceTimersByTime(60_000)
    await staged
    updates.stop()
    const asked = lab.server.requests.length
    vi.advanceTimersByTime(600_000)
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(lab.server.requests).toHaveLength(asked)
  })

  test('immediate: the launch itself runs the update, on trial', async () => {
    offer('one')
    const updates = await lab.open({ ...compat, strategy: 'immediate', launchTimeoutMs: 120_000 })
    const launch = await updates.launch()
    expect(shown(launch.directory)).toBe('one')
    expect(launch.nonce).not.toBeNull()
    await updates.ready(launch.nonce)
  })

  test('immediate: a slow or refusing server does not hold the app up', async () => {
    lab.server.latest = () => undefined
    const slow = await lab.open({ ...compat, strategy: 'immediate', launchTimeoutMs: 100 })
    expect((await slow.launch()).bundleId).toBeNull()
    lab.server.latest = (_request, response) => void response.writeHead(500).end()
    const refusing = await lab.open({ ...compat, strategy: 'immediate' })
    const refused = event(refusing, 'refused')
    expect((await refusing.launch()).bundleId).toBeNull()
    expect(await refused).toMatchObject({ code: 'SERVER_REFUSED' })
  })

  test.each([
    ['an unknown strategy', { strategy: 'sometimes' }],
    ['an interval below a minute', { strategy: 'background', intervalMs: 10 }],
    ['a minimum sequence that is a text', { minimumSequence: '7' }],
  ])('%s stops at start', async (_what, change) => {
    await expect(lab.open({ ...compat, ...change })).rejects.toMatchObject({ code: 'CONFIG' })
  })
})

describe('setChannel', () => {
  test('the chosen channel is asked for, its releases are taken, and the choice outlives a start', async () => {
    await lab.publishRelease('beta', 5, { release: { channels: ['beta'] }, channel: { channel: 'beta' } })
    const updates = await lab.open()
    await expect(updates.sync()).rejects.toMatchObject({ code: 'WRONG_CHANNEL' })
    await updates.setChannel('beta')
    const again = await lab.open()
    expect(await again.sync()).toMatchObject({ status: 'staged' })
    expect(
      lab.server.requests.filter((line) => line.includes('/latest')).map((line) => /channelName=(\w+)/.exec(line)?.[1]),
    ).toEqual(['production', 'beta'])
    await again.setChannel(null)
    await expect(again.sync()).rejects.toMatchObject({ code: 'WRONG_CHANNEL' })
  })

  test('what was staged from the old channel does not run', async () => {
    await lab.publishRelease('one', 1)
    const updates = await lab.open()
    await updates.sync()
    await updates.setChannel('beta')
    expect((await updates.launch()).bundleId).toBeNull()
  })

  test.each(['', 'x'.repeat(201), 7])('%j is not a channel', async (channel) => {
    await expect((await lab.open()).setChannel(channel as string)).rejects.toMatchObject({ code: 'CONFIG' })
  })
})

test('progress is told as bytes arrive, with the signed total', async () => {
  await lab.publishRelease('one', 1)
  const updates = await lab.open()
  const seen: LiveUpdateEvent[] = []
  updates.subscribe((event) => seen.push(event))
  await updates.sync()
  const progress = seen.filter((event) => event.type === 'progress')
  expect(progress.length).toBeGreaterThan(0)
  expect(progress.at(-1)).toMatchObject({ receivedBytes: bundle('one').length, totalBytes: bundle('one').length })
})
