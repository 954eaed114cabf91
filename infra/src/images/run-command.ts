import { spawn } from 'node:child_process'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { BuilderImageError } from './builder-image-error.js'

const keptLines = 25

export type CommandOptions = {
  cwd?: string
  signal?: AbortSignal
  /** How an aborted program is ended; `SIGTERM` unless told. */
  killSignal?: NodeJS.Signals
  /** Called with each line of both output streams. */
  onLine?: (line: string) => void
  /** Fed to standard input, which is otherwise closed. */
  input?: Readable
  /** Receives standard output, which then is neither kept nor passed to `onLine`. */
  consume?: (output: Readable) => Promise<void>
}

/** Runs a program to its end and returns what it wrote to standard output; a failure carries its last lines. */
export async function runCommand(file: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  if (options.signal?.aborted) throw interrupted()
  const killSignal = options.killSignal ?? 'SIGTERM'
  const child = spawn(file, args, {
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.signal === undefined ? {} : { signal: options.signal, killSignal }),
    stdio: [options.input ? 'pipe' : 'ignore', 'pipe', 'pipe'],
  })
  const lastLines: string[] = []
  const keep = (line: string) => {
    lastLines.push(line)
    if (lastLines.length > keptLines) lastLines.shift()
    options.onLine?.(line)
  }
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  // A program that ends early closes its input: its exit code says why, the broken pipe does not.
  if (options.input && child.stdin) pipeline(options.input, child.stdin).catch(() => undefined)
  const stdout = child.stdout as Readable
  const stderr = child.stderr as Readable
  try {
    const [code, output] = await Promise.all([
      ended,
      options.consume ? options.consume(stdout).then(() => '') : readLines(stdout, keep),
      readLines(stderr, keep),
    ])
    if (code === 0) return output
    if (options.signal?.aborted) throw interrupted()
    throw new BuilderImageError('command-failed', describeFailure(file, args, code, lastLines))
  } catch (error) {
    child.kill(killSignal)
    throw translate(error, file, options.signal)
  }
}

async function readLines(stream: Readable, onLine: (line: string) => void): Promise<string> {
  let whole = ''
  let rest = ''
  stream.setEncoding('utf8')
  for await (const chunk of stream as AsyncIterable<string>) {
    whole += chunk
    const lines = (rest + chunk).split(/\r?\n|\r/)
    rest = lines.pop() ?? ''
    for (const line of lines) if (line.trim() !== '') onLine(line)
  }
  if (rest.trim() !== '') onLine(rest)
  return whole
}

function describeFailure(file: string, args: readonly string[], code: number | null, lines: readonly string[]): string {
  const command = [file, ...args].join(' ')
  const how = code === null ? 'was killed' : `ended with exit code ${code}`
  return [`\`${command}\` ${how}.`, ...lines.map((line) => `  ${line}`)].join('\n')
}

function translate(error: unknown, file: string, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted) return interrupted()
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
    return new BuilderImageError('command-missing', `The program \`${file}\` is not installed.`, { cause: error })
  }
  return error
}

function interrupted(): BuilderImageError {
  return new BuilderImageError('interrupted', 'Building the images was interrupted; nothing was tagged.')
}
