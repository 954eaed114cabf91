import { channels, withOrg } from '@capstan/migrations'
import { and, eq, ne, sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { approveUnprotecting, spendUnprotecting } from '../change-requests/protection-consent.js'
import { type Context, requireChannelScope } from '../context.js'
import { Problem } from '../problems.js'
import type { CountedChannel } from './present-channel.js'
import { requireChannel, requireCountedChannel } from './queries.js'

export type UpdateChannel = {
  appId: string
  channelId: string
  name?: string | undefined
  protected?: boolean | undefined
  expiresAt?: string | null | undefined
}

/** Absent keys stay as they are. Protecting a channel leaves what it serves now; it binds the next deployment. */
export async function updateChannel(ctx: Context, input: UpdateChannel): Promise<CountedChannel> {
  requireChannelScope(ctx, 'channels:write', input.channelId)
  const seen = await withOrg(ctx.db, ctx.orgId, (tx) => requireChannel(tx, input.appId, { id: input.channelId }))
  const approval = unprotects(seen, input)
    ? await approveUnprotecting(ctx, seen, { name: input.name ?? seen.name, protected: input.protected ?? true })
    : null
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const before = await requireChannel(tx, input.appId, { id: input.channelId }, { lock: true })
    if (input.name !== undefined) {
      const [other] = await tx
        .select({ id: channels.id })
        .from(channels)
        .where(and(eq(channels.appId, input.appId), eq(channels.name, input.name), ne(channels.id, before.id)))
      if (other)
        throw new Problem(
          'channel-name-taken',
          `The app has a channel named "${input.name}" already. Choose another name.`,
        )
    }
    await tx
      .update(channels)
      .set({
        ...(input.name === undefined ? {} : { name: input.name }),
        ...(input.protected === undefined
          ? {}
          : { protectedAt: input.protected ? (before.protectedAt ?? ctx.now()) : null }),
        ...(input.expiresAt === undefined
          ? {}
          : { expiresAt: input.expiresAt === null ? null : new Date(input.expiresAt) }),
        updatedAt: sql`now()`,
      })
      .where(eq(channels.id, before.id))
    const after = await requireCountedChannel(tx, input.appId, before.id)
    const spent = unprotects(before, input) ? await spendUnprotecting(tx, ctx, before, approval) : null
    await recordAudit(tx, ctx, {
      action: 'channel.updated',
      target: { app: input.appId, channel: after.id },
      data: { protected: after.protectedAt !== null, ...(spent && { approval: spent }) },
      personal: { name: after.name },
    })
    return after
  })
}

const unprotects = ({ name }: { name: string }, input: UpdateChannel): boolean =>
  input.protected === false || (input.name !== undefined && input.name !== name)
