import { expect, test } from 'vitest'
import type { AndroidVariant } from '../choose-variant.js'
import { chooseOutput } from './compile.js'

const chooseApk = (paths: readonly string[], type: string, flavor: string | null = null) =>
  chooseOutput(paths, { type, flavor, outputs: ['apk'] } satisfies AndroidVariant, 'apk')

const at = (path: string) => `/work/source/android/app/build/outputs/apk/${path}`

test('the unsigned APK of the type is chosen', () => {
  const paths = [at('debug/app-debug.apk'), at('release/app-release-unsigned.apk'), at('androidTest/release/x.apk')]
  expect(chooseApk(paths, 'release')).toBe(at('release/app-release-unsigned.apk'))
  expect(chooseApk(paths, 'debug')).toBe(at('debug/app-debug.apk'))
})

test('an unsigned APK is preferred to one that Gradle signed', () => {
  const paths = [at('release/app-release.apk'), at('release/app-release-unsigned.apk')]
  expect(chooseApk(paths, 'release')).toBe(at('release/app-release-unsigned.apk'))
})

test('several candidates are a failure that names them', () => {
  const paths = [at('free/release/app-free-release-unsigned.apk'), at('paid/release/app-paid-release-unsigned.apk')]
  expect(() => chooseApk(paths, 'release')).toThrow(/app-free-release-unsigned\.apk, app-paid-release-unsigned\.apk/)
  expect(() => chooseApk(paths, 'release')).toThrow(expect.objectContaining({ code: 'apk-ambiguous' }))
})

test('no candidate is a failure', () => {
  expect(() => chooseApk([at('debug/app-debug.apk')], 'release')).toThrow(
    expect.objectContaining({ code: 'apk-missing' }),
  )
})

test('the flavor decides between several, for APKs and for bundles', () => {
  const bundle = (path: string) => `/work/source/android/app/build/outputs/bundle/${path}`
  const paths = [
    at('free/release/app-free-release-unsigned.apk'),
    at('paid/release/app-paid-release-unsigned.apk'),
    bundle('freeRelease/app-free-release.aab'),
    bundle('paidRelease/app-paid-release.aab'),
    bundle('release/app-release.aab'),
  ]
  const paid: AndroidVariant = { type: 'release', flavor: 'paid', outputs: ['apk', 'aab'] }
  expect(chooseOutput(paths, paid, 'apk')).toBe(paths[1])
  expect(chooseOutput(paths, paid, 'aab')).toBe(paths[3])
  expect(chooseOutput(paths, { ...paid, flavor: null }, 'aab')).toBe(paths[4])
  expect(() => chooseOutput(paths, { ...paid, flavor: 'gold' }, 'aab')).toThrow(/left no gold release AAB/)
})
