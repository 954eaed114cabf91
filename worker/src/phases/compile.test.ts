import { expect, test } from 'vitest'
import { chooseApk } from './compile.js'

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
