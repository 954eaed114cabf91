import { readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type LiveUpdateEvent } from '../src/live-update/node/index.js'
import { bundle, shown, signBytes } from './update-fixture.js'
import { compat, useLab } from './update-lab.js'

const lab = useLab()
const { open, install } = lab

describe('launches', () => {
  test('a bundle that is never confirmed is rolled back to the last good one and blocked', async () => {
    await install('one')
    const zip = bundle('bad')
    lab.server.publish('bad', zip, {}, { 'x-signature': signBytes(zip) })
    const first = await open(compat)
    await first.sync()
    expect(shown((await first.launch()).directory)).toBe('bad')
    const second = await open(compat)
    const events: LiveUpdateEvent[] = []
    second.subscribe((event) => events.push(event))
    expect(await second.launch()).toMatchObject({ bundleId: 'id-one', nonce: null })
    expect(events[0]).toEqual({ type: 'rolled-back', from: 'bad', to: 'id-one' })
    await expect(second.sync()).rejects.toMatchObject({ code: 'BLOCKED' })
    lab.server.publish('bad-under-another-name', zip, {}, { 'x-signature': signBytes(zip) })
    await expect(second.sync()).rejects.toMatchObject({ code: 'BLOCKED' })
    expect(shown((await second.launch()).directory)).toBe('one')
  })

  test('only the nonce of this launch confirms it', async () => {
    const zip = bundle('one')
    lab.server.publish('one', zip, {}, { 'x-signature': signBytes(zip) })
    const updates = await open(compat)
    await updates.ready(null)
    await updates.sync()
    const { nonce } = await updates.launch()
    await expect(updates.ready('guess')).rejects.toMatchObject({ code: 'NONCE_MISMATCH' })
    await expect(updates.ready(null)).rejects.toMatchObject({ code: 'NONCE_MISMATCH' })
    await updates.ready(nonce)
    await expect(updates.ready(nonce)).rejects.toMatchObject({ code: 'NONCE_MISMATCH' })
    expect((await updates.launch()).nonce).toBeNull()
  })

  test('apply switches within a start and keeps what runs when nothing is staged', async () => {
    await install('one')
    const updates = await open(compat)
    expect(shown((await updates.apply()).directory)).toBe('one')
    const zip = bundle('two')
    lab.server.publish('two', zip, {}, { 'x-signature': signBytes(zip) })
    await updates.sync()
    expect(shown((await updates.current()).directory)).toBe('one')
    const applied = await updates.apply()
    expect(shown(applied.directory)).toBe('two')
    await updates.ready(applied.nonce)
    expect(readdirSync(join(lab.device.directory, 'bundles'))).toHaveLength(1)
  })

  test('a bundle that changed on disk is not run', async () => {
    await install('one')
    const { directory } = await (await open(compat)).current()
    writeFileSync(join(directory, 'assets/app.js'), 'evil()')
    expect(shown((await (await open(compat)).launch()).directory)).toBe('built-in')
    expect((await (await open(compat)).sync()).status).toBe('staged')
    expect(shown((await (await open(compat)).launch()).directory)).toBe('one')
  })

  test.each([
    ['a file more', (path: string) => writeFileSync(join(path, 'more.js'), '')],
    ['a link', (path: string) => symlinkSync('/etc/hostname', join(path, 'link'))],
    ['a file less', (path: string) => rmSync(join(path, 'assets/app.js'))],
  ])('a staged bundle with %s falls back to the last good one', async (_what, damage) => {
    await install('one')
    const zip = bundle('two')
    lab.server.publish('two', zip, {}, { 'x-signature': signBytes(zip) })
    await (await open(compat)).sync()
    const state = JSON.parse(readFileSync(join(lab.device.directory, 'state.json'), 'utf8')) as { next: { id: string } }
    damage(join(lab.device.directory, 'bundles', state.next.id))
    expect(await (await open(compat)).launch()).toMatchObject({ bundleId: 'id-one', nonce: null })
  })

  test('a listener that throws stops neither an update nor a refusal', async () => {
    const zip = bundle('one')
    lab.server.publish('one', zip, {}, { 'x-signature': signBytes(zip) })
    const updates = await open(compat)
    updates.subscribe(() => {
      throw new Error('a broken log')
    })
    expect((await updates.sync()).status).toBe('staged')
    const launch = await updates.launch()
    await updates.ready(launch.nonce)
    expect(shown(launch.directory)).toBe('one')
    lab.server.publish('two', zip, {}, {})
    await expect(updates.sync()).rejects.toMatchObject({ code: 'SIGNATURE_MISSING' })
  })

  test('a new native app starts from its own bundle', async () => {
    await install('one')
    const updates = await open({ ...compat, appVersionCode: '8' })
    expect(shown((await updates.launch()).directory)).toBe('built-in')
    expect((await updates.sync()).status).toBe('staged')
    expect(shown((await updates.launch()).directory)).toBe('one')
  })

  test('a damaged state is reported, never taken for a fresh device, and reset recovers', async () => {
    await install('one')
    writeFileSync(join(lab.device.directory, 'state.json'), '{"v":')
    const updates = await open(compat)
    await expect(updates.launch()).rejects.toMatchObject({ code: 'STORAGE' })
    await updates.reset()
    expect(shown((await updates.launch()).directory)).toBe('built-in')
  })
})
