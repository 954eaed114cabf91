import { connect, createServer, type Server, type Socket } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { unlink } from 'node:fs/promises'

export interface LockOptions {
  /** Gives up waiting. */
  readonly signal?: AbortSignal
  /** Called once when another process holds the lock. */
  readonly onWait?: () => void
}

/**
 * Runs `work` while no other process of this machine runs it under the same name.
 * The lock is a listening socket, so the system releases it however the holder dies; on Linux it is an abstract
 * socket, which leaves no file behind either.
 */
export async function holdLock<T>(name: string, work: () => Promise<T>, options: LockOptions = {}): Promise<T> {
  const { signal, onWait } = options
  const path = process.platform === 'linux' ? `\0${name}` : join(tmpdir(), `${name}.sock`)
  let told = false
  for (;;) {
    signal?.throwIfAborted()
    const held = await tryListen(path)
    if (held) {
      try {
        return await work()
      } finally {
        await held.release()
      }
    }
    if (!told) onWait?.()
    told = true
    await waitForHolder(path, signal)
  }
}

type Held = { release: () => Promise<void> }

async function tryListen(path: string): Promise<Held | undefined> {
  const waiting = new Set<Socket>()
  const server: Server = createServer((socket) => {
    waiting.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => waiting.delete(socket))
  })
  server.unref()
  const taken = await new Promise<boolean>((resolve, reject) => {
    server.once('listening', () => resolve(false))
    server.once('error', (error) => ('code' in error && error.code === 'EADDRINUSE' ? resolve(true) : reject(error)))
    server.listen({ path })
  })
  if (taken) return undefined
  return {
    release: async () => {
      const closed = once(server, 'close')
      server.close()
      for (const socket of waiting) socket.destroy()
      await closed
    },
  }
}

async function waitForHolder(path: string, signal: AbortSignal | undefined): Promise<void> {
  const socket = connect({ path })
  const stop = () => socket.destroy()
  signal?.addEventListener('abort', stop, { once: true })
  try {
    const stale = await new Promise<boolean>((resolve) => {
      socket.once('close', () => resolve(false))
      socket.once('error', (error) => resolve('code' in error && error.code === 'ECONNREFUSED'))
    })
    if (stale && !path.startsWith('\0')) await unlink(path).catch(() => undefined)
  } finally {
    signal?.removeEventListener('abort', stop)
    socket.destroy()
  }
}
