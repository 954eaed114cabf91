import type { Database } from '@capstan/migrations'
import type { Logger } from 'pino'
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

export type CheckIns = {
  /** Keeps what a device said until it is written; costs no I/O and never fails. */
  note(checkIn: CheckIn): void
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
  /** Devices kept at most; what comes on top is counted and dropped. */
  room?: number
}

const EVERY_MS = 250
const ROOM = 50_000
/** With the pause between batches this bounds what check-ins can ask of the database. */
const BATCH = 1_000

export function createCheckIns({ db, log, everyMs = EVERY_MS, room = ROOM }: CheckInOptions): CheckIns {
  const kept = new Map<string, CheckIn>()
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
  const take = (keys: readonly string[]): Promise<void> => {
    const batch = keys.flatMap((key) => kept.get(key) ?? [])
    for (const key of keys) kept.delete(key)
    if (batch.length > 0) writing = writing.then(() => write(batch))
    return writing
  }
  const timer = setInterval(() => {
    if (dropped > 0) log.warn({ devices: dropped }, 'check-ins were answered and not written down')
    dropped = 0
    if (!idle || kept.size === 0) return
    idle = false
    void take([...first(kept.keys(), BATCH)]).finally(() => (idle = true))
  }, everyMs)
  timer.unref()

  return {
    note(checkIn) {
      const key = `${checkIn.appId}/${checkIn.deviceId}`
      if (kept.size >= room && !kept.has(key)) dropped += 1
      else kept.set(key, checkIn)
    },
    async flush(appId) {
      const keys = [...kept.keys()].filter((key) => appId === undefined || key.startsWith(`${appId}/`))
      for (let at = 0; at < keys.length; at += BATCH) void take(keys.slice(at, at + BATCH))
      await writing
    },
    onWritten: (listener) => void listeners.push(listener),
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      await this.flush()
    },
  }
}

function* first<T>(values: Iterable<T>, count: number): Generator<T> {
  let left = count
  for (const value of values) {
    if (left === 0) return
    left -= 1
    yield value
  }
}
