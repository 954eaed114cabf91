import { randomInt } from 'node:crypto'

const PER_MINUTE = 60
const MINUTE_MS = 60_000
/** A power of two. */
const SLOTS = 2 ** 18
/** Slots that one device may be counted in: the first that is its own or free. */
const REACH = 8

type AskingDevice = { address: string; appId: string; deviceId: string }

export type DeviceLimit = (device: AskingDevice, now: number) => boolean

/**
 * Whether one device asks more often than any app would make it. It is counted by its id and address together, never by
 * the address alone, which a whole fleet may share. Counts stand in a table of fixed size under a hash of some fifty bits,
 * whose seed nobody outside knows. Whoever finds no slot is not counted: nobody is silenced for that.
 */
export function createDeviceLimit({ perMinute = PER_MINUTE, slots = SLOTS } = {}): DeviceLimit {
  const marks = new Uint32Array(slots)
  const counts = new Uint8Array(slots)
  const seeds = [randomInt(2 ** 32), randomInt(2 ** 32)] as const
  let minute = 0

  /** The slot of a device whose hash is `place` and `mark`; -1: every one that it may have is taken. */
  const find = (place: number, mark: number): number => {
    for (let step = 0; step < REACH; step += 1) {
      const slot = (place + step) & (slots - 1)
      if (marks[slot] === mark || marks[slot] === 0) return slot
    }
    return -1
  }

  return (device, now) => {
    const current = Math.floor(now / MINUTE_MS)
    if (current !== minute) {
      minute = current
      marks.fill(0)
      counts.fill(0)
    }
    const mark = hash(device, seeds[0], 0x85ebca6b) || 1
    const slot = find(hash(device, seeds[1], 0xc2b2ae35), mark)
    if (slot < 0) return false
    const count = counts[slot] ?? 0
    if (count >= perMinute) return true
    marks[slot] = mark
    counts[slot] = count + 1
    return false
  }
}

function hash({ address, appId, deviceId }: AskingDevice, seed: number, factor: number): number {
  const mixed = mix(mix(mix(seed, address, factor), appId, factor), deviceId, factor)
  return Math.imul(mixed ^ (mixed >>> 15), factor) >>> 0
}

/** The length goes in as well: what ends one text cannot begin the next. */
function mix(start: number, text: string, factor: number): number {
  let mixed = start ^ text.length
  for (let at = 0; at < text.length; at += 1) {
    mixed = Math.imul(mixed ^ text.charCodeAt(at), factor)
    mixed ^= mixed >>> 13
  }
  return mixed
}
