import type { Role } from '@capstan/migrations'
import { appScopes, channelScopes, type Scope, scopesOf } from './permissions.js'

/** A role and where it counts: the whole organization, one app, or one channel of an app. */
export type Held = { role: Role; appId: string | null; channelId: string | null }

/** What one caller may do, and where; already without what the token leaves out. */
export type Reach = { appId: string | null; channelId: string | null; scopes: ReadonlySet<Scope> }

/**
 * What the roles of a person allow. A role on a channel shows its app and nothing else of it; only routes that ask for
 * the channel look at the rest.
 */
export function reachOf(held: readonly Held[], keep: (scope: Scope) => boolean): Reach[] {
  return held.flatMap(({ role, appId, channelId }): Reach[] => {
    const kept = [...scopesOf(role)].filter(keep)
    if (appId === null) return [{ appId, channelId, scopes: new Set(kept) }]
    if (channelId === null) return [{ appId, channelId, scopes: new Set(kept.filter((scope) => appScopes.has(scope))) }]
    return [
      { appId, channelId, scopes: new Set(kept.filter((scope) => channelScopes.has(scope))) },
      { appId, channelId: null, scopes: new Set(kept.filter((scope) => scope === 'apps:read')) },
    ]
  })
}

/** What counts in all of an app, or without one in the organization itself. */
export function scopesIn(reach: readonly Reach[], appId: string | null): ReadonlySet<Scope> {
  const covers = (place: Reach) => place.channelId === null && (place.appId === null || place.appId === appId)
  return new Set(reach.filter(covers).flatMap(({ scopes }) => [...scopes]))
}

/** The channels of the app at hand for which the caller has the scope, apart from what counts in all of the app. */
export function channelsWith(reach: readonly Reach[], scope: Scope): string[] {
  return reach.flatMap(({ channelId, scopes }) => (channelId !== null && scopes.has(scope) ? [channelId] : []))
}

/** The apps in all of which the caller has the scope; null: in every app there is. */
export function appsWith(reach: readonly Reach[], scope: Scope): string[] | null {
  const wide = reach.filter(({ channelId, scopes }) => channelId === null && scopes.has(scope))
  if (wide.some(({ appId }) => appId === null)) return null
  return [...new Set(wide.flatMap(({ appId }) => appId ?? []))]
}
