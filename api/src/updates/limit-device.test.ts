import { describe, expect, test } from 'vitest'
import { createDeviceLimit } from './limit-device.js'

const device = (deviceId: string, address = '203.0.113.1', appId = 'app') => ({ deviceId, address, appId })
const NOON = 1_800_000_000_000

describe('the limit of one device', () => {
  test('lets it ask so often in a minute, refuses it from then on, and lets it ask again in the next', () => {
    const isTooOften = createDeviceLimit({ perMinute: 3 })
    const asked = Array.from({ length: 5 }, () => isTooOften(device('one'), NOON))
    expect(asked).toEqual([false, false, false, true, true])
    expect(isTooOften(device('one'), NOON + 60_000)).toBe(false)
  })

  test('counts another id, another address and another app apart, however the texts are cut', () => {
    const isTooOften = createDeviceLimit({ perMinute: 1 })
    const all = [device('ab'), device('ac'), device('ab', '203.0.113.2'), device('ab', '203.0.113.1', 'other')]
    const cut = [device('b', '203.0.113.1', 'appa'), device('pab', '203.0.113.1', 'ap')]
    for (const one of [...all, ...cut]) expect(isTooOften(one, NOON)).toBe(false)
    for (const one of [...all, ...cut]) expect(isTooOften(one, NOON)).toBe(true)
  })

  test('refuses nobody of a fleet behind one address, whether there is room for all of it or not', () => {
    for (const slots of [2 ** 18, 2 ** 10]) {
      const isTooOften = createDeviceLimit({ perMinute: 1, slots })
      const refused = Array.from({ length: 50_000 }, (_, n) => isTooOften(device(`device-${n}`), NOON)).filter(Boolean)
      expect(refused).toEqual([])
    }
  })

  test('counts on for those who found a place when others did not', () => {
    const isTooOften = createDeviceLimit({ perMinute: 1, slots: 2 ** 10 })
    for (let n = 0; n < 50_000; n += 1) isTooOften(device(`device-${n}`), NOON)
    const again = Array.from({ length: 50_000 }, (_, n) => isTooOften(device(`device-${n}`), NOON))
    expect(again.filter(Boolean).length).toBe(2 ** 10)
  })
})
