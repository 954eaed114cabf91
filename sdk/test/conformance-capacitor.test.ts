import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { describeConformance } from './conformance/describe-conformance.js'
import { type HostileServer, startHostileServer } from './conformance/hostile-server.js'
import { Phone, phoneClient } from './conformance/phone.js'

describeConformance('the Capacitor client', { platform: 'android', open: () => Promise.resolve(phoneClient()) }, 500)

describe('a phone', () => {
  let server: HostileServer
  beforeAll(async () => {
    server = await startHostileServer('android')
  })
  afterAll(() => server.http.close())

  async function install(phone: Phone): Promise<string> {
    const version = await server.offerHonest('release')
    const { updates } = await phone.start(server.settings('release'))
    expect((await updates.sync()).status).toBe('staged')
    return version
  }

  test('a bundle that never says it works is left at the next cold start, and blocked', async () => {
    const phone = new Phone()
    const settings = server.settings('release')
    const good = await install(phone)
    const first = await phone.start(settings)
    await first.updates.ready(first.nonce)
    await install(phone)
    const broken = await phone.start(settings)
    expect(broken.page).not.toBe(good)
    // Reloading the page inside the launched bundle is not a new start.
    expect(await (await phone.open(settings)).launch()).toMatchObject({ nonce: broken.nonce })
    const after = await phone.start(settings)
    expect(after).toMatchObject({ page: good, nonce: null })
    await expect(after.updates.sync()).rejects.toMatchObject({ code: 'BLOCKED' })
    phone.remove()
  })

  test('a page that is switched away from never gets to confirm what it is not', async () => {
    const phone = new Phone()
    const settings = server.settings('release')
    const version = await install(phone)
    phone.basePath = phone.builtIn
    const loader = await phone.open(settings)
    let confirmed = false
    const start = async (): Promise<void> => {
      await loader.ready((await loader.launch()).nonce)
      confirmed = true
    }
    expect(await phone.leave(start)).toBe('left')
    const shownNow = await phone.open(settings)
    const launch = await shownNow.launch()
    expect(launch.nonce).not.toBeNull()
    expect(confirmed).toBe(false)
    await shownNow.ready(launch.nonce)
    expect(await phone.start(settings)).toMatchObject({ page: version, nonce: null })
    const next = await server.offerHonest('release')
    await (await phone.open(settings)).sync()
    expect(await phone.leave(async () => (await phone.open(settings)).apply())).toBe('left')
    expect(phone.basePath).toBe((await (await phone.open(settings)).current()).directory)
    expect((await (await phone.open(settings)).launch()).nonce).not.toBeNull()
    expect(next).not.toBe(version)
    phone.remove()
  })

  test('the floor is in native preferences: clearing every file does not bring an old release back', async () => {
    const phone = new Phone()
    const settings = server.settings('release')
    await install(phone)
    const started = await phone.start(settings)
    await started.updates.ready(started.nonce)
    await phone.filesystem.rmdir({ path: 'capstan-live-update', directory: 'DATA' as never, recursive: true })
    const after = await phone.start(settings)
    expect(after.page).toBe('built-in')
    await server.offerRelease(server.accepted.zip, { sequence: server.accepted.sequence - 1 })
    await expect(after.updates.sync()).rejects.toMatchObject({ code: 'DOWNGRADE' })
    phone.remove()
  })

  test('a file that changed on the phone is not run', async () => {
    const phone = new Phone()
    await install(phone)
    const { updates, nonce } = await phone.start(server.settings('release'))
    await updates.ready(nonce)
    writeFileSync(join(phone.basePath, 'assets/app.js'), 'evil()')
    expect((await phone.start(server.settings('release'))).page).toBe('built-in')
    phone.remove()
  })

  test('power lost at each step of an update leaves one whole version, and the update comes later', async () => {
    const settings = server.settings('release')
    const seen = new Set<string>()
    let steps = 0
    for (let dieAt = 1; dieAt === 1 || dieAt <= steps + 1; dieAt++) {
      const phone = new Phone()
      const old = await install(phone)
      const started = await phone.start(settings)
      await started.updates.ready(started.nonce)
      const next = await server.offerHonest('release')
      ;[phone.steps, phone.dieAt] = [0, dieAt]
      await (async () => {
        await started.updates.sync()
        const second = await phone.start(settings)
        await second.updates.ready(second.nonce)
      })().catch((error: unknown) => expect(error, `step ${dieAt}`).toMatchObject({ code: 'STORAGE' }))
      steps = Math.max(steps, dieAt <= phone.steps ? dieAt : 0)
      phone.dieAt = 0
      const after = await phone.start(settings)
      expect([old, next], `step ${dieAt}`).toContain(after.page)
      seen.add(after.page === next ? 'new' : 'old')
      await after.updates.ready(after.nonce)
      await after.updates
        .sync()
        .catch((error: unknown) => expect(error, `step ${dieAt}`).toMatchObject({ code: 'BLOCKED' }))
      const final = await phone.start(settings)
      expect([old, next], `step ${dieAt}`).toContain(final.page)
      const staging = join(phone.files, 'capstan-live-update', settings.appId, 'staging')
      expect(existsSync(staging) ? readdirSync(staging) : []).toEqual([])
      phone.remove()
    }
    expect(steps).toBeGreaterThanOrEqual(6)
    expect([...seen].toSorted()).toEqual(['new', 'old'])
  })
})
