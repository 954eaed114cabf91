import { fitsVersionCodes } from '@capstan/sdk/release'
import { describe, expect, test } from 'vitest'

import { versionCodesOf } from './version-codes-of.js'

const fitsNativeVersion = (constraints: Record<string, string>, platform: number, code: string | null) =>
  fitsVersionCodes(code ?? '', versionCodesOf(constraints)[platform] ?? {})

const ANDROID = 0
const IOS = 1

describe('a native version', () => {
  test.each([
    [{}, ANDROID, null, true],
    [{ minAndroidAppVersionCode: '10' }, ANDROID, '9', false],
    [{ minAndroidAppVersionCode: '10' }, ANDROID, '10', true],
    [{ minAndroidAppVersionCode: '10' }, ANDROID, '100', true],
    [{ maxAndroidAppVersionCode: '10' }, ANDROID, '10', true],
    [{ maxAndroidAppVersionCode: '10' }, ANDROID, '11', false],
    [{ eqAndroidAppVersionCode: '10' }, ANDROID, '10', false],
    [{ eqAndroidAppVersionCode: '10' }, ANDROID, '10.0', false],
    [{ eqAndroidAppVersionCode: '10' }, ANDROID, '11', true],
    [
      { minAndroidAppVersionCode: '1', maxAndroidAppVersionCode: '9', eqAndroidAppVersionCode: '5' },
      ANDROID,
      '5',
      false,
    ],
    [{ minIosAppVersionCode: '1.2.3' }, IOS, '1.2.10', true],
    [{ minIosAppVersionCode: '1.2.3' }, IOS, '1.2', false],
    [{ maxIosAppVersionCode: '1.2' }, IOS, '1.2.0', true],
  ])('with %j on platform %i: %j fits: %j', (constraints, platform, code, fits) => {
    expect(fitsNativeVersion(constraints as Record<string, string>, platform, code)).toBe(fits)
  })

  test.each([null, '', 'beta', '1.2-rc', '-1', ' 1'])('that cannot be compared (%j) fits no constraint', (code) => {
    for (const bound of ['min', 'max', 'eq']) {
      expect(fitsNativeVersion({ [`${bound}AndroidAppVersionCode`]: '5' }, ANDROID, code)).toBe(false)
    }
    expect(fitsNativeVersion({ minIosAppVersionCode: '5' }, ANDROID, code)).toBe(true)
  })

  test('of Electron or the web has no constraints', () => {
    for (const platform of [2, 3]) {
      expect(fitsNativeVersion({ minAndroidAppVersionCode: '5', minIosAppVersionCode: '5' }, platform, '1')).toBe(true)
    }
  })
})
