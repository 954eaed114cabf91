import { createHash } from 'node:crypto'
import { fitsVersionCodes } from '@capstan/sdk/release'
import type { Offer, PublishedApp, PublishedBundle, PublishedChannel } from './published-app.js'

/** What a device says about itself when it asks. */
export type CheckForUpdate = {
  appId: string
  deviceId: string | null
  platform: number
  osVersion: string | null
  appVersionCode: string | null
  appVersionName: string | null
  pluginVersion: string | null
  customId: string | null
  /** The bundle that it runs; null: the one built into the app, or one that is none of ours. */
  bundleId: string | null
  /** The ways to read the channel's name, the likelier first; none means the app's default channel. */
  channelNames: readonly string[]
}

export type Decision = {
  /** The channel that the device asked for, also when it was tied to another one. */
  requested: PublishedChannel | null
} & ({ offer: Offer; channel: PublishedChannel } | { refusal: string })

/** What a device should run now, from memory alone. A refusal means: stay as you are. */
export function decide(app: PublishedApp, asked: CheckForUpdate, now: number): Decision {
  const requested = findChannel(app, asked.channelNames)
  const forced = asked.deviceId === null ? undefined : app.forced.get(asked.deviceId)
  const channel = forced ?? requested
  if (!channel) return { requested, refusal: noChannel(asked) }
  const offer = choose(channel, asked, now)
  if (typeof offer === 'string') return { requested, refusal: offer }
  const refusal = refuseMixing(offer.bundle, asked.bundleId)
  return refusal === null ? { requested, channel, offer } : { requested, refusal }
}

/**
 * The newest deployment whose rollout has the device. One that does not fit its native version ends the search, since
 * going further back would change what the channel means for that version each time an older deployment is removed.
 */
function choose(channel: PublishedChannel, asked: CheckForUpdate, now: number): Offer | string {
  if (channel.pausedAt !== null) return `Channel "${channel.name}" is paused.`
  if (channel.expiresAt !== null && channel.expiresAt <= now) return `Channel "${channel.name}" has expired.`
  if (channel.offers.length === 0) return `Channel "${channel.name}" has no deployment.`
  for (const offer of channel.offers) {
    if (!isInRollout(asked.deviceId ?? '', offer)) continue
    if (fitsVersionCodes(asked.appVersionCode ?? '', offer.versionCodes[asked.platform] ?? {})) return offer
    return `The bundle is not for native version ${asked.appVersionCode ?? '(unknown)'}.`
  }
  return 'The rollout has not reached this device.'
}

/** As `isInRollout` of the SDK, which devices use, but at once instead of in a promise. */
export function isInRollout(
  deviceId: string,
  { deploymentId, percentage }: Pick<Offer, 'deploymentId' | 'percentage'>,
): boolean {
  if (percentage >= 1) return true
  if (percentage <= 0) return false
  const digest = createHash('sha256').update(`${deploymentId}:${deviceId}`).digest()
  return digest.readUIntBE(0, 6) / 2 ** 48 < percentage
}

/** A bundle that a device would mix up with what it runs is offered to it as a zip, or not at all. */
function refuseMixing({ hazards, bySource }: PublishedBundle, runs: string | null): string | null {
  if (runs === null || hazards.size === 0) return null
  const href = hazards.get(runs)
  if (href === undefined || bySource.has(runs)) return null
  return `The device would mix up "${href}" with a file it has. Publish the bundle as a zip.`
}

function findChannel(app: PublishedApp, names: readonly string[]): PublishedChannel | null {
  if (names.length === 0) return app.defaultChannel
  for (const name of names) {
    const channel = app.channels.get(name)
    if (channel) return channel
  }
  return null
}

function noChannel({ channelNames }: CheckForUpdate): string {
  const [name] = channelNames
  return name === undefined
    ? 'The device named no channel, and the app has no default channel.'
    : `The app has no channel named "${name}".`
}
