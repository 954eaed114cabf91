import { createHash } from 'node:crypto'
import { channelStatementLifetimeMs } from '@capstan/sdk/release'

const FOREVER = 'public, max-age=31536000, immutable, no-transform'

/** Half a life of the statements: in the other half, caches that cannot reach us may go on with what they have. */
export const RENEW_AFTER_MS = channelStatementLifetimeMs / 2

/**
 * How each kind of object is kept by caches. The object of a channel may be half a minute old, and a minute while a cache
 * fetches it anew; all others are named by their content.
 */
export const staticKinds = {
  channels: {
    contentType: 'application/json',
    cacheControl: `public, max-age=30, stale-while-revalidate=30, stale-if-error=${RENEW_AFTER_MS / 1000}`,
  },
  releases: { contentType: 'application/json', cacheControl: FOREVER },
  roots: { contentType: 'application/json', cacheControl: FOREVER },
  archives: { contentType: 'application/zip', cacheControl: FOREVER },
  patches: { contentType: 'application/octet-stream', cacheControl: FOREVER },
} as const
export type StaticKind = keyof typeof staticKinds

export const appFolder = (appId: string): string => `apps/${appId}`

/** Names of channels are free text: a hash of one is a sound path, and a listing of it tells nobody the names. */
export function channelObjectName(channel: string, platform: string): string {
  return `${createHash('sha256').update(channel).digest('hex')}-${platform}.json`
}
