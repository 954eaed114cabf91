import { writeFileSync } from 'node:fs'
import { ConfigError } from './config.js'

const filter = '/proc/self/coredump_filter'

/** A crash dump of the worker has no page of its memory, in which the keys of running builds lie; what it starts inherits that. */
export function leaveNoMemoryInCores(): void {
  if (process.platform !== 'linux') return
  try {
    writeFileSync(filter, '0')
  } catch {
    throw new ConfigError(`${filter} cannot be written, so a crash could write keys to disk.`)
  }
}
