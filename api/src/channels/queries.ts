import { channels, type Transaction } from '@capstan/migrations'
import { and, eq, getTableColumns, sql } from 'drizzle-orm'
import { Problem } from '../problems.js'

// The outer column is named in full: drizzle leaves the table away in a query of one table.
export const countedChannel = {
  ...getTableColumns(channels),
  totalAppDeployments: sql<number>`(select count(*)::int from deployments d where d.app_channel_id = channels.id)`,
  totalAppDevices: sql<number>`(select count(*)::int from devices d where d.app_channel_id = channels.id)`,
}

/** A channel as a request names it: by its id or by its exact name. */
export type ChannelKey = { id: string } | { name: string }

/**
 * With `lock` the row stays as it is until the transaction ends; rows that point at it may still come. Lock it before
 * the audit event is written: the head of the audit chain is always the last lock.
 */
export async function requireChannel(
  tx: Transaction,
  appId: string,
  key: ChannelKey,
  { lock = false } = {},
): Promise<typeof channels.$inferSelect> {
  const match = 'id' in key ? eq(channels.id, key.id) : eq(channels.name, key.name)
  const query = tx
    .select()
    .from(channels)
    .where(and(eq(channels.appId, appId), match))
  const [channel] = await (lock ? query.for('no key update') : query)
  if (channel) return channel
  throw 'id' in key
    ? new Problem('not-found', 'This app has no such channel.')
    : new Problem('channel-unknown', `This app has no channel named "${key.name}". Create it first, or check the name.`)
}

/** One channel with its counts. */
export async function requireCountedChannel(tx: Transaction, appId: string, channelId: string) {
  const [channel] = await tx
    .select(countedChannel)
    .from(channels)
    .where(and(eq(channels.appId, appId), eq(channels.id, channelId)))
  if (!channel) throw new Problem('not-found', 'This app has no such channel.')
  return channel
}
