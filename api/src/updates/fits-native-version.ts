import { compareVersions } from '@capstan/sdk/release'

const prefixes = { 0: 'Android', 1: 'Ios' } as const

/**
 * Whether a native app version may run a bundle: `min <= code <= max`, and not `eq`. `eq` names the one version that
 * the bundle does NOT support, which is how the official CLI words it where bundles are uploaded. A code that cannot be
 * compared fits only a bundle without constraints for its platform; Electron and the web have none.
 */
export function fitsNativeVersion(constraints: Record<string, string>, platform: number, code: string | null): boolean {
  const name = platform === 0 || platform === 1 ? prefixes[platform] : null
  if (name === null) return true
  const [min, max, eq] = ['min', 'max', 'eq'].map((bound) => constraints[`${bound}${name}AppVersionCode`])
  if (min === undefined && max === undefined && eq === undefined) return true
  const compare = (bound: string) => compareVersions(code ?? '', bound)
  if (compare('0') === null) return false
  const above = min === undefined || (compare(min) ?? -1) >= 0
  const below = max === undefined || (compare(max) ?? 1) <= 0
  const other = eq === undefined || (compare(eq) ?? 0) !== 0
  return above && below && other
}
