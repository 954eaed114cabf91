import { expect, test } from 'vitest'
import type { BuildRun } from './build-run.js'
import { chooseVariant, compilesOnline, gradleTask } from './choose-variant.js'

const choose = (type: string, variables: Record<string, string> = {}, secretVariables: Record<string, string> = {}) =>
  chooseVariant({ spec: { type, variables } as BuildRun['spec'], secretVariables })

test('a build of a type makes one APK', () => {
  expect(choose('debug')).toEqual({ type: 'debug', flavor: null, outputs: ['apk'] })
  expect(gradleTask(choose('release'), 'apk')).toBe('assembleRelease')
})

test('variables name the variant and the kinds of file', () => {
  const variant = choose(
    'release',
    { ANDROID_FLAVOR: 'paid', ANDROID_BUILD_TYPE: 'staging' },
    { ANDROID_OUTPUTS: 'apk, aab' },
  )
  expect(variant).toEqual({ type: 'staging', flavor: 'paid', outputs: ['apk', 'aab'] })
  expect(variant.outputs.map((output) => gradleTask(variant, output))).toEqual([
    'assemblePaidStaging',
    'bundlePaidStaging',
  ])
})

test('Gradle calls hosts where the variable says so, and nowhere else', () => {
  const online = (variables: Record<string, string>) =>
    compilesOnline({ spec: { variables } as BuildRun['spec'], secretVariables: {} })
  expect([{}, { ANDROID_NETWORK: 'off' }, { ANDROID_NETWORK: 'on' }].map(online)).toEqual([false, false, true])
  expect(() => online({ ANDROID_NETWORK: 'yes' })).toThrow(expect.objectContaining({ code: 'variable-invalid' }))
})

test.each([
  { ANDROID_FLAVOR: '-Pevil' },
  { ANDROID_FLAVOR: 'a b' },
  { ANDROID_BUILD_TYPE: '../x' },
  { ANDROID_OUTPUTS: 'ipa' },
  { ANDROID_OUTPUTS: 'apk,apk' },
  { ANDROID_OUTPUTS: 'apk,' },
])('%j is refused', (variables) => {
  expect(() => choose('release', variables)).toThrow(expect.objectContaining({ code: 'variable-invalid' }))
})
