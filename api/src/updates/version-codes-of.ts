import { platforms, type VersionCodes } from '@capstan/sdk/release'

const names: Partial<Record<string, string>> = { android: 'Android', ios: 'Ios' }
const unbounded: VersionCodes = {}

/**
 * The version codes that a bundle is for, by the number of their platform: `min <= code <= max`, and not `eq`. `eq` names
 * the one version that the bundle does NOT support, which is how the official CLI words it where bundles are uploaded.
 * Electron and the web have no constraints.
 */
export function versionCodesOf(constraints: Record<string, string>): VersionCodes[] {
  return platforms.map((platform) => {
    const name = names[platform]
    if (name === undefined) return unbounded
    const bounds = (['min', 'max', 'eq'] as const).map((bound) => [bound, constraints[`${bound}${name}AppVersionCode`]])
    const given = bounds.filter(([, value]) => value !== undefined)
    return given.length === 0 ? unbounded : (Object.fromEntries(given) as VersionCodes)
  })
}
