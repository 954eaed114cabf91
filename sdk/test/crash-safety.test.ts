import { spawn } from 'node:child_process'
import { cpSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createLiveUpdate, type Disk, type LiveUpdate, nodeDisk } from '../src/live-update/node/index.js'
import { losses, lossyDisk } from './lossy-disk.js'
import {
  bundle,
  type Device,
  makeDevice,
  shown,
  signBytes,
  staged,
  startServer,
  type UpdateServer,
} from './update-fixture.js'

const compat = { profile: 'compat' as const }
const changing = ['makeDirectory', 'writeNewFile', 'syncFile', 'rename', 'syncDirectory', 'remove'] as const
let server: UpdateServer
let pristine: Device

/** Offers a version, signed. */
function offer(version: string): void {
  const zip = bundle(version)
  server.publish(version, zip, {}, { 'x-signature': signBytes(zip) })
}

/** A copy of a device that runs "old", confirmed, with "new" on offer. */
function deviceOnOld(): Device {
  const device = makeDevice(server.url, compat)
  cpSync(pristine.directory, device.directory, { recursive: true })
  return device
}

const open = (device: Device, disk?: Disk): Promise<LiveUpdate> =>
  createLiveUpdate({ ...device.options, ...(disk ? { world: { disk } } : {}) })

beforeAll(async () => {
  server = await startServer()
  pristine = makeDevice(server.url, compat)
  offer('old')
  const updates = await open(pristine)
  await updates.sync()
  await updates.ready((await updates.launch()).nonce)
  offer('new')
})
afterAll(async () => {
  pristine.remove()
  await server.close()
})

/** A disk that fails at a step: `once` like a full disk, or from there on like a lost power supply. */
function failingDisk(failAt: number, code: string, once: boolean): Disk & { steps: number } {
  const disk = { ...nodeDisk, steps: 0 }
  for (const name of changing) {
    const call = nodeDisk[name] as (...args: unknown[]) => Promise<void>
    disk[name] = async (...args: unknown[]): Promise<void> => {
      disk.steps++
      if (once ? disk.steps === failAt : disk.steps >= failAt) throw Object.assign(new Error(`${code}: no`), { code })
      await call(...args)
    }
  }
  return disk
}

async function wholeUpdate(updates: LiveUpdate): Promise<void> {
  await updates.ready((await updates.launch()).nonce)
  await updates.sync()
  await updates.ready((await updates.apply()).nonce)
}

/** What the next two starts run is one whole version, and the device can still come to "new" or has good reason not to. */
async function expectWhole(device: Device, what: string, mayLeaveStaged = false): Promise<string> {
  const next = await open(device)
  const first = shown((await next.launch()).directory)
  expect(['old', 'new'], what).toContain(first)
  const again = await open(device)
  const second = shown((await again.launch()).directory)
  expect(['old', 'new'], what).toContain(second)
  const outcome = await again.sync().catch((error: { code: string }) => error.code)
  if (typeof outcome === 'string') expect(outcome, what).toBe('BLOCKED')
  if (!mayLeaveStaged) expect(staged(device), what).toEqual([])
  return first
}

describe('a failing disk', () => {
  test.each([
    ['ENOSPC', true],
    ['EROFS', false],
    ['EIO', true],
  ] as const)('%s at any step leaves one whole version, and the update comes later', async (code, once) => {
    const seen = new Set<string>()
    for (let step = 1; ; step++) {
      const device = deviceOnOld()
      const disk = failingDisk(step, code, once)
      const updates = await open(device, disk)
      const failure = await wholeUpdate(updates).catch((error: unknown) => error)
      if (failure !== undefined) expect(failure, `step ${step}`).toMatchObject({ code: 'STORAGE' })
      seen.add(await expectWhole(device, `${code} at step ${step}`))
      device.remove()
      if (disk.steps < step) break
    }
    expect([...seen].toSorted()).toEqual(['new', 'old'])
  })

  test('a disk that became read-only still starts what was confirmed, and nothing new', async () => {
    const device = deviceOnOld()
    await (await open(device)).sync()
    const readOnly = await open(device, failingDisk(1, 'EROFS', false))
    expect(await readOnly.launch()).toMatchObject({ bundleId: 'old', nonce: null })
    expect(shown((await (await open(device)).launch()).directory)).toBe('new')
    device.remove()
  })
})

describe('a lost power supply', () => {
  test.each(losses)('at any step, of what was not flushed lost: %s', async (loss) => {
    const seen = new Set<string>()
    for (let step = 1; ; step++) {
      const device = deviceOnOld()
      const disk = lossyDisk(step)
      const failure = await wholeUpdate(await open(device, disk)).catch((error: unknown) => error)
      disk.lose(loss)
      const ended = disk.steps < step
      // A rename that was undone leaves the bundle where it was staged; the next update sweeps there.
      const shows = await expectWhole(device, `${loss} lost at step ${step}`, loss === 'names')
      seen.add(shows)
      device.remove()
      disk.close()
      if (!ended) continue
      // What was confirmed needs no bundle to fall back to any more.
      expect({ failure, shows }).toEqual({ failure: undefined, shows: 'new' })
      break
    }
    expect([...seen].toSorted()).toEqual(['new', 'old'])
  })

  test('a staged bundle that lost bytes is said to be damaged, and is fetched again', async () => {
    const device = deviceOnOld()
    const disk = lossyDisk(Infinity)
    await (await open(device, disk)).sync()
    disk.lose('zeroed')
    const updates = await open(device)
    const events: string[] = []
    updates.subscribe(({ type }) => events.push(type))
    expect(shown((await updates.launch()).directory)).toBe('old')
    expect(events).toEqual(['damaged', 'launched'])
    expect((await updates.sync()).status).toBe('staged')
    expect(shown((await updates.launch()).directory)).toBe('new')
    device.remove()
    disk.close()
  })
})

describe('a process killed with SIGKILL', () => {
  const child = fileURLToPath(new URL('crash-child.mjs', import.meta.url))

  async function run(
    device: Device,
    dieAt: number,
  ): Promise<{ signal: string | null; output: string; errors: string }> {
    const running = spawn(process.execPath, [child, JSON.stringify({ options: device.options, dieAt })])
    let [output, errors] = ['', '']
    running.stdout.on('data', (chunk) => (output += String(chunk)))
    running.stderr.on('data', (chunk) => (errors += String(chunk)))
    const signal = await new Promise<string | null>((resolve) => running.on('close', (_code, name) => resolve(name)))
    return { signal, output, errors }
  }

  test('at each step of an update leaves the old or the new bundle whole', async () => {
    const whole = deviceOnOld()
    const { output, signal, errors } = await run(whole, 0)
    expect({ signal, errors }).toEqual({ signal: null, errors: '' })
    whole.remove()
    const steps = Number(output)
    expect(steps).toBeGreaterThanOrEqual(12)
    const seen = new Set<string>()
    for (let step = 1; step <= steps; step++) {
      const device = deviceOnOld()
      expect((await run(device, step)).signal, `step ${step}`).toBe('SIGKILL')
      seen.add(await expectWhole(device, `killed at step ${step}`))
      expect(readdirSync(join(device.directory, 'bundles')).length).toBeLessThanOrEqual(2)
      device.remove()
    }
    expect([...seen].toSorted()).toEqual(['new', 'old'])
  })
})
