import { chownSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import postgres from 'postgres'
import { Failure } from '../failure.js'
import { runTool } from '../run-tool.js'
import { placePostgres } from './place-postgres.js'
import { reachableFolder, unprivileged } from './reachable-folder.js'
import type { ProcessSpec } from './supervised-process.js'

const majorVersion = '18'

export interface PostgresOptions {
  readonly folder: string
  readonly port: number
  readonly password: string
  readonly isRoot: boolean
  readonly logFile: string
  readonly baseEnv: Readonly<Record<string, string>>
  /** Nothing needs to outlive the run: no waiting for the disk, room for many test connections. */
  readonly throwAway: boolean
}

export interface PreparedPostgres {
  readonly spec: ProcessSpec
  readonly url: string
  readonly folder: string
}

async function initialize(binaries: string, data: string, options: PostgresOptions): Promise<void> {
  const draft = `${data}.draft`
  const passwordFile = `${data}.password`
  const owner = options.isRoot ? unprivileged : undefined
  rmSync(draft, { recursive: true, force: true })
  writeFileSync(passwordFile, options.password, { mode: 0o600 })
  if (owner) chownSync(passwordFile, owner.uid, owner.gid)
  try {
    const args = ['-D', draft, '-U', 'postgres', '-A', 'scram-sha-256', `--pwfile=${passwordFile}`, '-E', 'UTF8']
    const locale = ['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8']
    const sync = options.throwAway ? ['--no-sync'] : []
    const result = await runTool(join(binaries, 'bin', 'initdb'), [...args, ...locale, ...sync], {
      ...owner,
      cwd: '/',
      env: options.baseEnv,
    })
    if (result.code !== 0)
      throw new Failure(`Postgres could not create its data folder.\n${result.stderr || result.stdout}`)
    renameSync(draft, data)
  } finally {
    rmSync(passwordFile, { force: true })
    rmSync(draft, { recursive: true, force: true })
  }
}

async function answers(url: string): Promise<boolean> {
  const sql = postgres(url, { max: 1, connect_timeout: 5, onnotice: () => {} })
  try {
    await sql`select 1`
    return true
  } catch {
    return false
  } finally {
    await sql.end({ timeout: 1 })
  }
}

/** Creates the data folder when there is none and says how to run the server on it. */
export async function preparePostgres(options: PostgresOptions): Promise<PreparedPostgres> {
  const binaries = placePostgres(options.isRoot)
  const folder = reachableFolder(options.folder, options.isRoot)
  const owner = options.isRoot ? unprivileged : undefined
  const data = join(folder, 'data')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  if (owner) chownSync(folder, owner.uid, owner.gid)
  if (!existsSync(data)) await initialize(binaries, data, options)
  const version = readFileSync(join(data, 'PG_VERSION'), 'utf8').trim()
  if (version !== majorVersion) {
    throw new Failure(
      `${data} was made by Postgres ${version} and this is Postgres ${majorVersion}. Dump it with the old version and restore it into a new data folder.`,
    )
  }
  const url = `postgres://postgres:${options.password}@127.0.0.1:${options.port}/postgres`
  const settings: Record<string, string> = {
    port: String(options.port),
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    log_min_duration_statement: '-1',
    max_connections: options.throwAway ? '400' : '200',
    ...(options.throwAway ? { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' } : {}),
  }
  return {
    url,
    folder,
    spec: {
      name: 'postgres',
      command: join(binaries, 'bin', 'postgres'),
      args: ['-D', data, ...Object.entries(settings).flatMap(([key, value]) => ['-c', `${key}=${value}`])],
      env: options.baseEnv,
      cwd: folder,
      logFile: options.logFile,
      owner,
      isReady: () => answers(url),
      stopSignal: 'SIGINT',
    },
  }
}
