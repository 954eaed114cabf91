import { createHash } from 'node:crypto'
import { type Platform, platforms, type StaticChannel, type StaticOffer } from '@capstan/sdk/release'
import type { Offer, PublishedApp, PublishedChannel } from '../updates/published-app.js'
import type { StatementKey } from '../updates/sign-channel-statement.js'
import { stateOffer } from '../updates/state-offer.js'

export const sha256Of = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex')

export type DescribedChannel = {
  channel: string
  platform: Platform
  /** Of what the object says apart from its signatures. */
  digest: string
  /** The object, with statements that are issued now. */
  write(key: StatementKey, now: number): StaticChannel
}

/** What each platform gets on a channel. A paused one offers nothing, as the server does. */
export function describeChannel(app: PublishedApp, channel: PublishedChannel): DescribedChannel[] {
  return platforms.map((platform, number) => {
    const offers = channel.pausedAt === null ? channel.offers : []
    const unsigned: StaticChannel = {
      _type: 'capstan-static/v1',
      appId: app.id,
      channel: channel.name,
      platform,
      expiresAt: channel.expiresAt === null ? null : new Date(channel.expiresAt).toISOString(),
      roots: rootsOf(app),
      offers: offers.map((offer) => describeOffer(offer, number)),
    }
    return {
      channel: channel.name,
      platform,
      digest: sha256Of(JSON.stringify(unsigned)),
      write: (key, now) => ({
        ...unsigned,
        offers: unsigned.offers.map((described, at) => {
          const offer = offers[at]
          const release = offer?.bundle.release
          if (!offer || !release) return described
          const stated = { appId: app.id, channel, offer, release, platform: number }
          return { ...described, channelStatement: stateOffer(stated, key, now) }
        }),
      }),
    }
  })
}

function describeOffer({ deploymentId, percentage, versionCodes, bundle }: Offer, platform: number): StaticOffer {
  return {
    rollout: { deploymentId, percentage },
    versionCodes: versionCodes[platform] ?? {},
    bundleId: bundle.id,
    url: bundle.url,
    archive: bundle.artifactType === 'zip' ? bundle.checksum : null,
    release: bundle.release ? sha256Of(bundle.release.json) : null,
    channelStatement: null,
    patches: [...bundle.patches].map(([fromBundleId, { from, sha256, sizeBytes }]) => ({
      fromBundleId,
      from,
      sha256,
      sizeBytes,
    })),
  }
}

type Root = { version: number; sha256: string; json: string }

/** The root statements of an app, as objects. */
export function rootObjectsOf(app: PublishedApp): Root[] {
  return app.roots.map(({ version, envelope }) => {
    const json = JSON.stringify(envelope)
    return { version, json, sha256: sha256Of(json) }
  })
}

function rootsOf(app: PublishedApp): StaticChannel['roots'] {
  return rootObjectsOf(app).map(({ version, sha256 }) => ({ version, sha256 }))
}
