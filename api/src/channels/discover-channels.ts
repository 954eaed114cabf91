import { apps, channels, withOrg } from '@capstan/migrations'
import { and, asc, eq, ilike, or } from 'drizzle-orm'
import type { Context } from '../context.js'
import { Problem } from '../problems.js'
import { containing } from './list-channels.js'

/** `queries`: the ways to read the device's text, because platforms encode a plus sign differently. */
export type DiscoverChannels = { appId: string; queries: readonly string[]; limit: number; offset: number }

/** What a device may know of an app's channels: id and name, once the app allows it. */
export async function discoverChannels(ctx: Context, input: DiscoverChannels): Promise<{ id: string; name: string }[]> {
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const [app] = await tx
      .select({ enabled: apps.appChannelDiscoveryEnabled })
      .from(apps)
      .where(eq(apps.id, input.appId))
    if (!app?.enabled) {
      throw new Problem(
        'channel-discovery-disabled',
        'Channel discovery is not enabled for this app. Turn it on in its settings.',
      )
    }
    return tx
      .select({ id: channels.id, name: channels.name })
      .from(channels)
      .where(
        and(
          eq(channels.appId, input.appId),
          input.queries.length > 0
            ? or(...input.queries.map((text) => ilike(channels.name, containing(text))))
            : undefined,
        ),
      )
      .orderBy(asc(channels.name))
      .limit(input.limit)
      .offset(input.offset)
  })
}
