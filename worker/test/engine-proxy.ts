import { mkdtemp, rm } from 'node:fs/promises'
import { once } from 'node:events'
import type { Server, Socket } from 'node:net'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { dockerHost } from './build-bench.js'

export type EngineProxy = AsyncDisposable & { dockerHost: string; open(): Promise<void> }

/** A socket before the real engine's that can be absent, and can go away with every connection through it. */
export async function openEngineProxy({ isOpen = true } = {}): Promise<EngineProxy> {
  const directory = await mkdtemp(join(tmpdir(), 'capstan-engine-'))
  const socketPath = join(directory, 'docker.sock')
  const sockets = new Set<Socket>()
  let server: Server | undefined
  const open = async () => {
    server = createServer({ allowHalfOpen: true }, (client) => {
      const upstream = connect({ path: new URL(dockerHost).pathname, allowHalfOpen: true })
      client.pipe(upstream).pipe(client)
      for (const socket of [client, upstream]) {
        sockets.add(socket)
        // A cut connection is what this is for.
        socket.on('error', () => socket.destroy())
      }
    })
    server.listen(socketPath)
    await once(server, 'listening')
  }
  if (isOpen) await open()
  return {
    dockerHost: `unix://${socketPath}`,
    open,
    async [Symbol.asyncDispose]() {
      server?.close()
      for (const socket of sockets) socket.destroy()
      await rm(directory, { recursive: true, force: true })
    },
  }
}
