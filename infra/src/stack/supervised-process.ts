import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Failure } from '../failure.js'
import { identifyProcess, type ProcessIdentity } from './identify-process.js'
import { lastLines, logSize } from './read-log.js'
import { stopProcess } from './stop-process.js'

export interface ProcessSpec {
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
  readonly logFile: string
  readonly owner?: { readonly uid: number; readonly gid: number } | undefined
  /** Answers true once the process does its work; `logOffset` is where its own log begins. */
  readonly isReady: (logOffset: number) => Promise<boolean>
  readonly stopSignal?: NodeJS.Signals
}

export interface SupervisionEvents {
  /** Called when the process ended without being asked to. */
  readonly onCrash: (message: string) => void
  /** Called when it runs again, or for the first time. */
  readonly onStarted: (name: string, identity: ProcessIdentity) => void
  /** Called when it has been given up. */
  readonly onGivenUp: (failure: Failure) => void
}

const readyWithinMs = 60_000
const restartsPerMinute = 5

/** One process of the stack: started, watched, started again when it dies, stopped by its own id. */
export class SupervisedProcess {
  readonly spec: ProcessSpec
  private readonly events: SupervisionEvents
  private child: ChildProcess | undefined
  private stopping = false
  private crashes: number[] = []
  private identity: ProcessIdentity | undefined

  constructor(spec: ProcessSpec, events: SupervisionEvents) {
    this.spec = spec
    this.events = events
  }

  get pid(): number | undefined {
    return this.identity?.pid
  }

  /** Resolves when the process answers. */
  async start(): Promise<void> {
    this.stopping = false
    const { command, args, env, cwd, logFile, owner, name } = this.spec
    const logOffset = logSize(logFile)
    const log = openSync(logFile, 'a', 0o600)
    // A group of its own: Ctrl-C reaches the stack, which stops its processes in order.
    const child = spawn(command, args, { env, cwd, ...owner, detached: true, stdio: ['ignore', log, log] })
    closeSync(log)
    await once(child, 'spawn')
    const failed = once(child, 'exit').then(([code, signal]) => `${signal ?? `exit code ${code}`}`)
    this.child = child
    this.identity = identifyProcess(child.pid ?? 0)
    this.events.onStarted(name, this.identity)
    await this.waitUntilReady(failed, logOffset)
    void failed.then((reason) => this.handleExit(child, reason))
  }

  private async waitUntilReady(exited: Promise<string>, logOffset: number): Promise<void> {
    const deadline = Date.now() + readyWithinMs
    let ended: string | undefined
    const noteEnd = async (): Promise<void> => {
      ended = await exited
    }
    void noteEnd()
    while (!(await this.spec.isReady(logOffset))) {
      if (ended !== undefined) throw new Failure(this.describe(`ended before it was ready (${ended})`))
      if (Date.now() > deadline) {
        await this.stop()
        throw new Failure(this.describe(`was not ready after ${readyWithinMs / 1000} s`))
      }
      await sleep(30)
    }
  }

  private describe(what: string): string {
    const lines = lastLines(this.spec.logFile, 12)
    const said =
      lines.length > 0 ? ` Its last lines:\n${lines.map((line) => `    ${line}`).join('\n')}` : ' It said nothing.'
    return `${this.spec.name} ${what}.${said}`
  }

  private async handleExit(child: ChildProcess, reason: string): Promise<void> {
    if (this.stopping || this.child !== child) return
    this.events.onCrash(this.describe(`ended unexpectedly (${reason})`))
    this.crashes = [...this.crashes.filter((at) => at > Date.now() - 60_000), Date.now()]
    if (this.crashes.length > restartsPerMinute) {
      this.events.onGivenUp(new Failure(this.describe(`ended ${this.crashes.length} times within a minute`)))
      return
    }
    await sleep(Math.min(4000, 250 * 2 ** (this.crashes.length - 1)))
    if (this.stopping) return
    try {
      await this.start()
    } catch (error) {
      this.events.onGivenUp(error instanceof Failure ? error : new Failure(String(error)))
    }
  }

  /** Stops the process; it is not started again until `start` is called. */
  async stop(graceMs?: number): Promise<void> {
    this.stopping = true
    if (!this.identity) return
    const first = this.spec.stopSignal ?? 'SIGTERM'
    await stopProcess(this.identity, graceMs === undefined ? { first } : { first, graceMs })
    this.identity = undefined
  }

  /** Ends the process at once, as a crash would; supervision brings it back. */
  kill(): void {
    this.child?.kill('SIGKILL')
  }
}
