import type Docker from 'dockerode'
import type { Duplex } from 'node:stream'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ExecSpec, Pipe } from './container-engine.js'
import { demuxOutput } from './demux-output.js'
import { watchSource } from './watch-source.js'

/** A command that ended may leave children that keep its output open; they are not waited for longer than this. */
const lingerMs = 2_000

export async function dockerExec(container: Docker.Container, spec: ExecSpec, signal: AbortSignal): Promise<number> {
  signal.throwIfAborted()
  const exec = await container.exec({
    Cmd: [...spec.argv],
    Env: Object.entries(spec.env ?? {}).map(([name, value]) => `${name}=${value}`),
    ...(spec.workingDir !== undefined && { WorkingDir: spec.workingDir }),
    AttachStdin: spec.stdin !== undefined,
    AttachStdout: true,
    AttachStderr: true,
    Tty: false,
  })
  const socket = await exec.start({ hijack: true, stdin: true, Tty: false })
  const stop = stopOnAbort(container, socket, signal)
  const watch = closeWhenEnded(exec, socket)
  try {
    const fed = feed(spec.stdin, socket)
    const failure = await readOutput(socket, spec)
    signal.throwIfAborted()
    const feeding = await fed
    signal.throwIfAborted()
    const exitCode = await exitCodeOf(exec)
    if (failure !== undefined) throw failure
    if (feeding.source !== undefined) throw feeding.source
    if (feeding.sink !== undefined && exitCode === 0) throw feeding.sink
    return exitCode
  } finally {
    stop()
    clearInterval(watch)
    socket.destroy()
  }
}

export async function dockerPipe(container: Docker.Container, argv: readonly string[]): Promise<Pipe> {
  const options = { Cmd: [...argv], AttachStdin: true, AttachStdout: true, AttachStderr: false, Tty: false }
  const exec = await container.exec(options)
  const socket = await exec.start({ hijack: true, stdin: true, Tty: false })
  // A broken connection ends the output; whoever reads it learns of it there.
  socket.on('error', () => undefined)
  return { input: socket, output: stdoutOf(socket), close: () => socket.destroy() }
}

async function* stdoutOf(socket: Duplex): AsyncGenerator<Buffer> {
  for await (const { source, chunk } of demuxOutput(socket)) if (source === 'stdout') yield chunk
}

async function readOutput(socket: Duplex, spec: ExecSpec): Promise<unknown> {
  try {
    for await (const { source, chunk } of demuxOutput(socket)) await spec.onOutput(source, chunk)
    return undefined
  } catch (error) {
    // The watcher destroys the socket when the command has ended: no failure.
    if (error instanceof Error && 'code' in error && error.code === 'ERR_STREAM_PREMATURE_CLOSE') return undefined
    return error
  }
}

type Feeding = { source?: unknown; sink?: unknown }

/** Tells apart a source that broke (the input is incomplete) and a command that did not want its whole input. */
async function feed(stdin: ExecSpec['stdin'], socket: Duplex): Promise<Feeding> {
  const result: Feeding = {}
  if (stdin === undefined) {
    socket.end()
    return result
  }
  const noteFailure = (error: unknown) => {
    result.source = error
  }
  const source = Readable.from(Buffer.isBuffer(stdin) ? [stdin] : watchSource<Buffer>(stdin, noteFailure))
  await pipeline(source, socket).catch((error: unknown) => {
    result.sink = error
  })
  return result
}

function stopOnAbort(container: Docker.Container, socket: Duplex, signal: AbortSignal): () => void {
  const stop = () => {
    // A kill that fails leaves the container to the caller's removal and, at last, to the reaper.
    container.kill().catch(() => undefined)
    setTimeout(() => socket.destroy(), lingerMs).unref()
  }
  signal.addEventListener('abort', stop, { once: true })
  return () => signal.removeEventListener('abort', stop)
}

function closeWhenEnded(exec: Docker.Exec, socket: Duplex): NodeJS.Timeout {
  let endedAt: number | undefined
  const look = async () => {
    if (endedAt === undefined) {
      const state = await exec.inspect()
      if (!state.Running && state.ExitCode !== null) endedAt = Date.now()
    } else if (Date.now() - endedAt >= lingerMs) {
      socket.destroy()
    }
  }
  return setInterval(() => {
    look().catch(() => socket.destroy())
  }, 1_000)
}

async function exitCodeOf(exec: Docker.Exec): Promise<number> {
  // The output ends a moment before the engine has noted the exit code.
  for (let round = 0; round < 150; round++) {
    const state = await exec.inspect()
    if (!state.Running && state.ExitCode !== null) return state.ExitCode
    await new Promise((resolve) => setTimeout(resolve, Math.min(2 + round, 20)))
  }
  throw new Error('the command closed its output but did not end')
}
