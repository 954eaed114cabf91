import { createHash } from 'node:crypto'
import { mkdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** Who runs Postgres and Redis when the stack is started by root: both refuse to run, or should not run, as root. */
export const unprivileged = { uid: 65_534, gid: 65_534 } as const

/** Where things go that the unprivileged user cannot reach in the checkout. */
const systemFolder = '/var/lib/capstan'

/** True when every folder on the way to `path` lets any user through. */
export function isReachableByOthers(path: string): boolean {
  for (let folder = path; ; folder = dirname(folder)) {
    const stat = statSync(folder, { throwIfNoEntry: false })
    if (stat?.isDirectory() && (stat.mode & 0o001) === 0) return false
    if (folder === dirname(folder)) return true
  }
}

/** `wanted` itself, or a folder of its own under /var/lib when an unprivileged process could not reach it. */
export function reachableFolder(wanted: string, isRoot: boolean): string {
  if (!isRoot || isReachableByOthers(dirname(wanted))) return wanted
  const folder = join(systemFolder, createHash('sha256').update(wanted).digest('hex').slice(0, 16))
  mkdirSync(folder, { recursive: true, mode: 0o711 })
  return folder
}

export { systemFolder }
