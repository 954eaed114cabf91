import type { Database } from '@capstan/migrations'
import type { Logger } from 'pino'
import type { CheckForUpdate, Decision } from './decide.js'
import type { PublishedApp } from './published-app.js'
import { writeCheckIns } from './write-check-ins.js'

/** What one device said when it asked. */
export type CheckIn = {
  appId: string
  orgId: string
  deviceId: string
  platform: number
  osVersion: string | null
  appVersionCode: string | null
  appVersionName: string | null
  pluginVersion: string | null
  customId: string | null
  appChannelId: string | null
  appDeploymentId: string | null
  bundleId: string | null
  /** Milliseconds since 1970. */
  lastSeenAt: number
  /** Where it asked from, as far as that is known. */
  address: string
}

/** A check, as it was answered. */
type SeenCheck = {
  app: PublishedApp
  asked: CheckForUpdate
  /** Where the device asked from. */
  address: string
  decision: Decision
  now: number
}

export type CheckIns = {
  /** Keeps what a device said until it is written; costs no I/O and never fails. Who named no device is not kept. */
  note(seen: SeenCheck): void
  /** Writes what is kept now: of one app, or of all. What cannot be written is lost, as statistics may be. */
  flush(appId?: string): Promise<void>
  /** Told of every batch once it is written. */
  onWritten(listener: (batch: readonly CheckIn[]) => void): void
  [Symbol.asyncDispose](): Promise<void>
}

export type CheckInOptions = {
  db: Database
  log: Logger
  everyMs?: number
  /** Check-ins kept at most; what comes on top is counted and dropped. */
  room?: number
}

const EVERY_MS = 250
const ROOM = 50_000
/** With the pause between batches this bounds what check-ins can ask of the database. */
const BATCH = 1_000

export function createCheckIns({ db, log, everyMs = EVERY_MS, room = ROOM }: CheckInOptions): CheckIns {
  let kept: CheckIn[] = []
  const listeners: ((batch: readonly CheckIn[]) => void)[] = []
  let dropped = 0
  let writing = Promise.resolve()
  let idle = true

  const write = async (batch: readonly CheckIn[]) => {
    try {
      await writeCheckIns(db, batch)
      for (const listener of listeners) listener(batch)
    } catch (error) {
      dropped += batch.length
      log.warn({ err: error, devices: batch.length }, 'a batch of check-ins was lost')
    }
  }
  /** One batch after the other, so that a slow database is not asked for more. */
  const take = (batch: readonly CheckIn[]): Promise<void> => {
    if (batch.length > 0) writing = writing.then(() => write(newestOf(batch)))
    return writing
  }
  const timer = setInterval(() => {
    if (dropped > 0) log.warn({ devices: dropped }, 'check-ins were answered and not written down')
    dropped = 0
    if (!idle || kept.length === 0) return
    idle = false
    void take(kept.splice(0, BATCH)).finally(() => (idle = true))
  }, everyMs)
  timer.unref()

  return {
    note(seen) {
      const { deviceId } = seen.asked
      if (deviceId === null) return
      if (kept.length >= room) dropped += 1
      else kept.push(toCheckIn(seen, deviceId))
    },
    async flush(appId) {
      const asked = appId === undefined ? kept : kept.filter((checkIn) => checkIn.appId === appId)
      kept = appId === undefined ? [] : kept.filter((checkIn) => checkIn.appId !== appId)
      for (let at = 0; at < asked.length; at += BATCH) void take(asked.slice(at, at + BATCH))
      await writing
    },
    onWritten: (listener) => void listeners.push(listener),
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      await this.flush()
    },
  }
}

/** Of a device that asked more than once, what it said last. */
function newestOf(batch: readonly CheckIn[]): CheckIn[] {
  return [...new Map(batch.map((checkIn) => [`${checkIn.appId}/${checkIn.deviceId}`, checkIn])).values()]
}

function toCheckIn({ app, asked, address, decision, now }: SeenCheck, deviceId: string): CheckIn {
  const offer = 'offer' in decision ? decision.offer : null
  return {
    appId: app.id,
    orgId: app.orgId,
    deviceId,
    platform: asked.platform,
    osVersion: asked.osVersion,
    appVersionCode: asked.appVersionCode,
    appVersionName: asked.appVersionName,
    pluginVersion: asked.pluginVersion,
    customId: asked.customId,
    appChannelId: decision.requested?.id ?? null,
    // A device that runs what it was offered is on that deployment.
    appDeploymentId: offer !== null && offer.bundle.id === asked.bundleId ? offer.deploymentId : null,
    bundleId: asked.bundleId,
    lastSeenAt: now,
    address,
  }
}
