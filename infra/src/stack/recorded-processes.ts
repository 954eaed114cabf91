import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Failure } from '../failure.js'
import { identifyProcess, isRunning, type ProcessIdentity } from './identify-process.js'
import { stopProcess } from './stop-process.js'

interface Ownership {
  readonly runner: ProcessIdentity
  readonly processes: Readonly<Record<string, ProcessIdentity>>
}

/** Keeps on disk which processes belong to a data folder, so that a run that was killed can be cleared up by the next. */
export class RecordedProcesses {
  private readonly file: string
  private readonly processes: Record<string, ProcessIdentity> = {}

  constructor(runFolder: string) {
    this.file = join(runFolder, 'processes.json')
  }

  /** Takes the data folder for this run; stops what a killed run left behind. */
  async take(): Promise<void> {
    if (existsSync(this.file)) {
      const before = JSON.parse(readFileSync(this.file, 'utf8')) as Ownership
      if (isRunning(before.runner)) {
        throw new Failure(
          `Capstan already runs on this data folder (process ${before.runner.pid}). Stop it first with Ctrl-C.`,
        )
      }
      const leftovers = Object.values(before.processes).reverse()
      await Promise.all(leftovers.map((identity) => stopProcess(identity)))
    }
    this.write()
  }

  add(name: string, identity: ProcessIdentity): void {
    this.processes[name] = identity
    this.write()
  }

  release(): void {
    rmSync(this.file, { force: true })
  }

  pids(): Record<string, number> {
    return Object.fromEntries(Object.entries(this.processes).map(([name, { pid }]) => [name, pid]))
  }

  private write(): void {
    const record: Ownership = { runner: identifyProcess(process.pid), processes: this.processes }
    writeFileSync(`${this.file}.draft`, JSON.stringify(record), { mode: 0o600 })
    renameSync(`${this.file}.draft`, this.file)
  }
}
