import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { StackOrganization } from './provision-stack.js'

/** What `.capstan/dev.json` holds while a stack runs: addresses and first credentials for people and tests. */
export interface DevJson {
  readonly apiUrl: string
  readonly consoleUrl: string
  readonly databaseUrl: string
  readonly redisUrl: string
  readonly dataDir: string
  readonly pids: Readonly<Record<string, number>>
  readonly organizations: readonly StackOrganization[]
}

export function writeDevJson(folder: string, content: DevJson): void {
  const file = join(folder, 'dev.json')
  rmSync(`${file}.draft`, { force: true })
  writeFileSync(`${file}.draft`, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600 })
  renameSync(`${file}.draft`, file)
}

export function removeDevJson(folder: string): void {
  rmSync(join(folder, 'dev.json'), { force: true })
}
