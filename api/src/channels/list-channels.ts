import { channels, withOrg } from '@capstan/migrations'
import { and, desc, eq, ilike, inArray } from 'drizzle-orm'
import { type Context, readableChannels } from '../context.js'
import type { CountedChannel } from './present-channel.js'
import { countedChannel } from './queries.js'

export type ListChannels = {
  appId: string
  name?: string | undefined
  query?: string | undefined
  limit: number
  offset: number
}

/** Newest first. `name` matches exactly, `query` a part of the name. */
export async function listChannels(ctx: Context, input: ListChannels): Promise<CountedChannel[]> {
  const limit = readableChannels(ctx, 'channels:read')
  return withOrg(ctx.db, ctx.orgId, (tx) =>
    tx
      .select(countedChannel)
      .from(channels)
      .where(
        and(
          eq(channels.appId, input.appId),
          limit ? inArray(channels.id, [...limit]) : undefined,
          input.name ? eq(channels.name, input.name) : undefined,
          input.query ? ilike(channels.name, containing(input.query)) : undefined,
        ),
      )
      .orderBy(desc(channels.id))
      .limit(input.limit)
      .offset(input.offset),
  )
}

/** A pattern for `ilike` in which the text stands for itself. */
export function containing(text: string): string {
  return `%${text.replaceAll(/[\\%_]/g, String.raw`\$&`)}%`
}
