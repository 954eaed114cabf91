import type { BuildPhase } from '@capstan/migrations/messages'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { BuildFailure, platformFailure } from './build-failure.js'
import type { BuildRun } from './build-run.js'
import { ContainerStopped } from './container-engine.js'
import type { ExecSpec } from './container-engine.js'
import { explainFailure } from './known-failures.js'

export type Command = {
  phase: BuildPhase
  containerId: string
  argv: readonly string[]
  env?: Readonly<Record<string, string>>
  workingDir?: string
  stdin?: Readable | Buffer
  /** The problem code when the command fails and no known failure explains it. */
  failureCode: string
  /** What failed, as the start of a sentence: "The web build". */
  subject: string
  /** Takes stdout instead of the log. */
  onStdout?: (chunk: Buffer) => void | Promise<void>
}

/** Runs a command with its output in the log; anything but exit code 0 is a failure with a reason. */
export async function runCommand(run: BuildRun, command: Command): Promise<void> {
  const exitCode = await exitCodeOf(run, command)
  if (exitCode !== 0) throw await reasonFor(run, command, exitCode)
}

/** Runs a command and returns what it printed, up to `capBytes`. */
export async function captureCommand(run: BuildRun, command: Command, capBytes = 256 * 1024): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  const onStdout = (chunk: Buffer) => {
    size += chunk.length
    if (size > capBytes)
      throw new BuildFailure(command.failureCode, `${command.subject} printed more than ${capBytes} bytes.`)
    chunks.push(Buffer.from(chunk))
  }
  const exitCode = await exitCodeOf(run, { ...command, onStdout })
  if (exitCode === 0) return Buffer.concat(chunks)
  const log = run.logs.openStream(command.phase)
  log.write(Buffer.concat(chunks))
  log.end()
  throw await reasonFor(run, command, exitCode)
}

export async function exitCodeOf(run: BuildRun, command: Command): Promise<number> {
  const stdout = run.logs.openStream(command.phase)
  const stderr = run.logs.openStream(command.phase)
  run.logs.touch()
  const onOutput: ExecSpec['onOutput'] = async (source, chunk) => {
    if (source === 'stderr') stderr.write(chunk)
    else if (command.onStdout === undefined) stdout.write(chunk)
    else {
      run.logs.touch()
      await command.onStdout(chunk)
    }
    await run.logs.room(run.signal)
  }
  const { argv, env, workingDir, stdin } = command
  const exec: ExecSpec = {
    argv,
    onOutput,
    ...(env && { env }),
    ...(workingDir && { workingDir }),
    ...(stdin && { stdin }),
  }
  try {
    return await run.engine.exec(command.containerId, exec, run.signal)
  } catch (error) {
    if (!(error instanceof ContainerStopped)) throw error
    throw (await outOfMemory(run, command, 0)) ?? containerStopped(error)
  } finally {
    stdout.end()
    stderr.end()
  }
}

async function reasonFor(run: BuildRun, command: Command, exitCode: number): Promise<BuildFailure> {
  const killed = await outOfMemory(run, command, exitCode === 137 ? 5 : 0)
  if (killed !== undefined) return killed
  if (!(await run.engine.inspect(command.containerId)).running) return containerStopped(undefined)
  const known = explainFailure(command.phase, run.logs.tail(command.phase))
  if (known !== undefined) return known
  const failed = `${command.subject} failed: "${command.argv.slice(0, 6).join(' ')}" ended with exit code ${exitCode}.`
  return new BuildFailure(command.failureCode, run.secrets.maskText(failed).slice(0, 1_000))
}

/** The engine notes an out-of-memory kill a moment after the command has ended. */
async function outOfMemory(run: BuildRun, command: Command, rounds: number): Promise<BuildFailure | undefined> {
  for (let round = 0; ; round++) {
    const { oomKilled } = await run.engine.inspect(command.containerId)
    if (oomKilled) {
      const limit = Math.floor(run.spec.limits.memoryBytes / (1024 * 1024))
      return new BuildFailure(
        'out-of-memory',
        `${command.subject} needed more memory than the ${limit} MiB of this build and was stopped. Use less or raise the limit.`,
      )
    }
    if (round >= rounds) return undefined
    await sleep(100)
  }
}

const containerStopped = (cause: unknown) =>
  platformFailure('container-stopped', 'The build container ended while a command ran in it.', cause)
