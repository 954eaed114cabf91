import { spawn } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Failure, missing } from '../failure.js'
import { holdLock } from '../hold-lock.js'
import type { Say } from '../report-progress.js'
import { defaultDockerHost, dockerProblem } from './ask-docker.js'
import { identifyProcess, isRunning, type ProcessIdentity } from './identify-process.js'
import { lastLines } from './read-log.js'
import { stopProcess } from './stop-process.js'

export interface DockerUse {
  readonly dockerHost: string
  /** Ends the use; the last one stops the daemon that Capstan started, and no other. */
  readonly release: () => Promise<void>
}

export interface DockerOptions {
  readonly dockerHost: string | undefined
  readonly isRoot: boolean
  readonly user: string
  readonly baseEnv: Readonly<Record<string, string>>
  readonly say: Say
  readonly runFolder?: string
  /** Where the daemon is expected and how it is started when it is not there. */
  readonly daemon?: { readonly dockerHost: string; readonly args: readonly string[] }
}

function readIdentity(file: string): ProcessIdentity | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as ProcessIdentity
  } catch {
    return undefined
  }
}

function explain(problem: NodeJS.ErrnoException, { dockerHost, user }: DockerOptions): Failure {
  if (dockerHost) return missing(`The Docker daemon at DOCKER_HOST ${dockerHost} does not answer (${problem.message}).`)
  if (problem.code === 'EACCES') {
    return missing(`The user ${user} may not use Docker. Run \`sudo usermod -aG docker ${user}\` and sign in again.`)
  }
  return missing(
    `The Docker daemon does not answer (${problem.message}). Start it (\`sudo systemctl start docker\`, or Docker Desktop) or set DOCKER_HOST.`,
  )
}

async function startDaemon(folder: string, dockerHost: string, { say, baseEnv, daemon }: DockerOptions): Promise<void> {
  const logFile = join(folder, 'dockerd.log')
  const log = openSync(logFile, 'a', 0o600)
  const child = spawn('dockerd', daemon?.args ?? [], { env: baseEnv, detached: true, stdio: ['ignore', log, log] })
  closeSync(log)
  let ended: string | undefined
  child.once('error', (error) => {
    ended = error.message
  })
  child.once('exit', (code) => {
    ended = `exit code ${code}`
  })
  const deadline = Date.now() + 60_000
  say('starting the Docker daemon')
  while ((await dockerProblem(dockerHost)) !== undefined) {
    if (ended !== undefined || Date.now() > deadline) {
      child.kill('SIGKILL')
      const said = lastLines(logFile, 8).join('\n')
      throw missing(
        `The Docker daemon could not be started (${ended ?? 'no answer within 60 s'}). Its last lines:\n${said}`,
      )
    }
    await sleep(100)
  }
  child.unref()
  writeFileSync(join(folder, 'dockerd.json'), JSON.stringify(identifyProcess(child.pid ?? 0)))
}

/** Uses of runs that were killed do not count. */
function countUsers(folder: string): number {
  const users = readdirSync(join(folder, 'users'))
  const live = users.filter((name) => {
    const identity = readIdentity(join(folder, 'users', name))
    if (identity && isRunning(identity)) return true
    rmSync(join(folder, 'users', name), { force: true })
    return false
  })
  return live.length
}

/** Makes sure that a Docker daemon answers, and holds it until released. */
export async function useDocker(options: DockerOptions): Promise<DockerUse> {
  const dockerHost = options.dockerHost ?? options.daemon?.dockerHost ?? defaultDockerHost
  const folder = options.runFolder ?? '/run/capstan'
  const daemon = join(folder, 'dockerd.json')
  if (!options.isRoot || options.dockerHost) {
    const problem = await dockerProblem(dockerHost)
    if (problem) throw explain(problem, options)
    return { dockerHost, release: async () => {} }
  }
  mkdirSync(join(folder, 'users'), { recursive: true, mode: 0o700 })
  const lock = `capstan-docker-${createHash('sha256').update(folder).digest('hex').slice(0, 16)}`
  const ticket = join(folder, 'users', randomUUID())
  await holdLock(lock, async () => {
    if ((await dockerProblem(dockerHost)) !== undefined) await startDaemon(folder, dockerHost, options)
    writeFileSync(ticket, JSON.stringify(identifyProcess(process.pid)))
  })
  const release = async (): Promise<void> =>
    holdLock(lock, async () => {
      rmSync(ticket, { force: true })
      const started = readIdentity(daemon)
      if (countUsers(folder) > 0 || !started) return
      options.say('stopping the Docker daemon')
      await stopProcess(started, { graceMs: 20_000 })
      rmSync(daemon, { force: true })
    })
  return { dockerHost, release }
}
