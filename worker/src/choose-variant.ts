import { BuildFailure } from './build-failure.js'
import type { BuildRun } from './build-run.js'

export type AndroidOutput = 'apk' | 'aab'

/** What Gradle is to build: `flavor` and `type` make the variant, `outputs` the kinds of file. */
export type AndroidVariant = { type: string; flavor: string | null; outputs: readonly AndroidOutput[] }

const name = /^[A-Za-z][A-Za-z0-9_]{0,99}$/

/** The build's type and three variables: `ANDROID_BUILD_TYPE`, `ANDROID_FLAVOR`, `ANDROID_OUTPUTS` (`apk`, `aab`, `apk,aab`). */
export function chooseVariant({ spec, secretVariables }: Pick<BuildRun, 'spec' | 'secretVariables'>): AndroidVariant {
  const variables: Record<string, string | undefined> = { ...spec.variables, ...secretVariables }
  const type = variables['ANDROID_BUILD_TYPE'] || (spec.type === 'release' ? 'release' : 'debug')
  const flavor = variables['ANDROID_FLAVOR'] || null
  for (const [variable, value] of [
    ['ANDROID_BUILD_TYPE', type],
    ['ANDROID_FLAVOR', flavor ?? 'none'],
  ] as const) {
    if (!name.test(value)) throw invalid(`${variable} must be a name of letters, digits and underscores.`)
  }
  const outputs = (variables['ANDROID_OUTPUTS'] || 'apk').split(',').map((output) => output.trim())
  if (!outputs.every((output) => output === 'apk' || output === 'aab') || new Set(outputs).size !== outputs.length) {
    throw invalid('ANDROID_OUTPUTS must be "apk", "aab" or "apk,aab".')
  }
  return { type, flavor, outputs }
}

const capitalized = (text: string) => `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`

/** `assemblePaidRelease`, `bundlePaidRelease` */
export function gradleTask({ type, flavor }: AndroidVariant, output: AndroidOutput): string {
  return `${output === 'apk' ? 'assemble' : 'bundle'}${capitalized(flavor ?? '')}${capitalized(type)}`
}

/**
 * Whether Gradle may call hosts, as `install` may: `ANDROID_NETWORK` is `on`. Otherwise what compiles can
 * neither fetch nor send anything.
 */
export function compilesOnline({ spec, secretVariables }: Pick<BuildRun, 'spec' | 'secretVariables'>): boolean {
  const wish = { ...spec.variables, ...secretVariables }['ANDROID_NETWORK'] || 'off'
  if (wish !== 'on' && wish !== 'off') throw invalid('ANDROID_NETWORK must be "on" or "off".')
  return wish === 'on'
}

const invalid = (message: string) => new BuildFailure('variable-invalid', message)
