import type { VersionCodes } from '@capstan/sdk/release'
import type { AnswerBody } from './make-answer.js'

/** What devices of one app may learn, as every API process holds it in memory. */
export type PublishedApp = {
  id: string
  orgId: string
  defaultChannel: PublishedChannel | null
  /** By name. */
  channels: ReadonlyMap<string, PublishedChannel>
  /** Devices that somebody tied to a channel; all others are not held in memory. */
  forced: ReadonlyMap<string, PublishedChannel>
  /** Its root statements, oldest first: every answer carries them. */
  roots: readonly { version: number; envelope: Readonly<Record<string, unknown>> }[]
}

export type PublishedChannel = {
  id: string
  name: string
  /** Times in milliseconds since 1970. */
  pausedAt: number | null
  expiresAt: number | null
  /** The current one first, then those that a device outside its rollout can still reach. */
  offers: readonly Offer[]
}

/** One deployment, as a device meets it. */
export type Offer = {
  deploymentId: string
  percentage: number
  /** Native versions that it is for, by the number of their platform. */
  versionCodes: readonly VersionCodes[]
  bundle: PublishedBundle
  /** Answers that were made before, by platform and by what the device runs, with the time they were made at. */
  made: Map<string, { body: AnswerBody; at: number }>
}

export type PublishedBundle = {
  id: string
  artifactType: 'zip' | 'manifest'
  checksum: string | null
  signature: string | null
  customProperties: Readonly<Record<string, string>>
  /** Where the customer keeps it; null: with us. */
  url: string | null
  /** The customer's release envelope as JSON, outside the heap, and what a channel statement says of it. */
  release: { json: Buffer; sequence: number } | null
  /** Bundles whose devices would mix files up on the way to this one, with a path that would come out wrong. */
  hazards: ReadonlyMap<string, string>
  /** By the bundle that they lead away from. */
  patches: ReadonlyMap<string, OfferedPatch>
  /** Keys of the answer that differ for a device that runs this other bundle. */
  bySource: ReadonlyMap<string, Readonly<Record<string, unknown>>>
}

/** A patch to a bundle. */
type OfferedPatch = {
  /** SHA-256 of the archive that it leads away from. */
  from: string
  sha256: string
  sizeBytes: number
}
