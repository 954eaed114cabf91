const PER_MINUTE = 60
const MINUTE_MS = 60_000
const ROOM = 100_000

/**
 * Whether one device asks more often than any app would make it. It is counted by its id and address together, never by
 * the address alone, which a whole fleet may share. Who is not in the room is not counted: nobody is silenced for that.
 */
export function createDeviceLimit({ perMinute = PER_MINUTE, room = ROOM } = {}): (key: string, now: number) => boolean {
  let counts = new Map<string, number>()
  let minute = 0
  return (key, now) => {
    const current = Math.floor(now / MINUTE_MS)
    if (current !== minute) {
      minute = current
      counts = new Map()
    }
    const count = counts.get(key) ?? 0
    if (count >= perMinute) return true
    if (count > 0 || counts.size < room) counts.set(key, count + 1)
    return false
  }
}
