import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { chooseFreePorts, requireFreePort, stablePorts, type Ports } from './choose-ports.js'
import { RecordedProcesses } from './recorded-processes.js'
import { makeStackFolders, type StackFolders } from './stack-folders.js'
import { openStackSecrets, type StackSecrets } from './stack-secrets.js'
import type { StackOptions } from './start-stack.js'
import { SupervisedProcess, type ProcessSpec } from './supervised-process.js'
import { Teardown } from './teardown.js'

/** What the steps of starting a stack share. */
export interface Run {
  readonly options: StackOptions
  readonly teardown: Teardown
  readonly folders: StackFolders
  readonly secrets: StackSecrets
  readonly ports: Ports
  readonly recorded: RecordedProcesses
  readonly processes: Map<string, SupervisedProcess>
  readonly storageFolders: string[]
  /** Called when the process ids changed. */
  onChange: () => void
}

async function choosePorts({ ports, config }: StackOptions): Promise<Ports> {
  if (ports === 'free') return chooseFreePorts()
  await requireFreePort(stablePorts.api, 'the API', '')
  if (!config.databaseUrl) await requireFreePort(stablePorts.postgres, 'Postgres', ', or set DATABASE_URL')
  if (!config.redisUrl) await requireFreePort(stablePorts.redis, 'Redis', ', or set REDIS_URL')
  return stablePorts
}

/** Takes the data folder: nobody else may use it until the teardown ran. */
export async function openRun(options: StackOptions): Promise<Run> {
  const teardown = options.teardown ?? new Teardown()
  const dataDir = options.dataDir ?? mkdtempSync(join(options.config.tempDir, 'capstan-'))
  const folders = makeStackFolders(dataDir)
  if (!options.dataDir) teardown.add(async () => rmSync(dataDir, { recursive: true, force: true }))
  if (!folders.sockets.startsWith(dataDir)) {
    teardown.add(async () => rmSync(folders.sockets, { recursive: true, force: true }))
  }
  const recorded = new RecordedProcesses(folders.run)
  await recorded.take()
  teardown.add(async () => recorded.release())
  return {
    options,
    teardown,
    folders,
    recorded,
    secrets: openStackSecrets(folders.secrets),
    ports: await choosePorts(options),
    processes: new Map(),
    storageFolders: [],
    onChange: () => {},
  }
}

/** Starts one process under supervision; the teardown stops it. */
export async function launch(run: Run, spec: ProcessSpec): Promise<void> {
  const supervised = new SupervisedProcess(spec, {
    onCrash: (message) => run.options.say(`${message}\n  It is started again.`),
    onStarted: (name, identity) => {
      run.recorded.add(name, identity)
      run.onChange()
    },
    onGivenUp: (failure) => {
      if (!run.teardown.hasBegun) run.options.onGivenUp?.(failure)
    },
  })
  run.teardown.add(() => supervised.stop())
  run.processes.set(spec.name, supervised)
  await supervised.start()
}

/** Notes where a server keeps its files; a folder outside a throw-away data folder is removed with the stack. */
export function keepStorage({ options, teardown, folders, storageFolders }: Run, folder: string): void {
  storageFolders.push(folder)
  if (options.dataDir || folder.startsWith(folders.dataDir)) return
  teardown.add(async () => rmSync(folder, { recursive: true, force: true }))
}
