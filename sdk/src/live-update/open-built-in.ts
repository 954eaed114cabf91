import type { builtInBundle, BuiltInPlace } from './built-in-list.js'

/** The built-in bundle of a page whose app names the list of it. Its code is loaded only there. */
export async function openBuiltIn(
  list: string | undefined,
  place: Omit<BuiltInPlace, 'list'>,
): Promise<ReturnType<typeof builtInBundle> | null> {
  if (list === undefined) return null
  const { builtInBundle: open } = await import('./built-in-list.js')
  return open({ ...place, list })
}
