import { writeFileSync } from 'node:fs'

const FILTER = '/proc/self/coredump_filter'
const EX_CONFIG = 78

/**
 * A crash dump of this process, as a file or handed to a crash reporter, has no page of its memory: keys and uploads lie
 * there. What it starts inherits that. Asked for before a secret is read; where it cannot be had the process ends.
 */
export function leaveNoMemoryInCores(filter = FILTER): void {
  if (process.platform !== 'linux') return
  try {
    writeFileSync(filter, '0')
  } catch (error) {
    const reason = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
    process.stderr.write(
      `Configuration: ${filter} cannot be written (${reason}), so a crash could write keys to disk. Mount /proc writable for this user.\n`,
    )
    process.exit(EX_CONFIG)
  }
}
