import { createHash } from 'node:crypto'
import { channelStatementLifetimeMs, type Envelope, platforms } from '@capstan/sdk/release'
import type { Offer, PublishedBundle, PublishedChannel } from './published-app.js'
import { type StatementKey, signStatement } from './sign-channel-statement.js'

type StatedOffer = {
  appId: string
  channel: Pick<PublishedChannel, 'name' | 'expiresAt'>
  offer: Pick<Offer, 'deploymentId' | 'percentage'>
  release: NonNullable<PublishedBundle['release']>
  /** As its number in the device protocol. */
  platform: number
}

/** The channel statement of an offer; null for a platform that there is not. It ends with the channel. */
export function stateOffer(
  { appId, channel, offer, release, platform: number }: StatedOffer,
  key: StatementKey,
  now: number,
): Envelope | null {
  const platform = platforms[number]
  if (!platform) return null
  const { payload } = JSON.parse(release.json.toString()) as Envelope
  const statement = {
    _type: 'capstan-channel/v1' as const,
    appId,
    channel: channel.name,
    platform,
    release: {
      sha256: createHash('sha256').update(Buffer.from(payload, 'base64')).digest('hex'),
      sequence: release.sequence,
    },
    rollout: { deploymentId: offer.deploymentId, percentage: offer.percentage },
    issuedAt: new Date(now).toISOString(),
    expiresAt: new Date(Math.min(now + channelStatementLifetimeMs, channel.expiresAt ?? Infinity)).toISOString(),
  }
  return signStatement(statement, key)
}
