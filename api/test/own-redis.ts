import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'

import { freePort } from './free-port.js'

/** A Redis of one test file, which may lose everything, freeze and come back. */
export type OwnRedis = {
  url: string
  start(): Promise<void>
  /** Ends it at once; what it held is lost. */
  kill(): Promise<void>
  freeze(): void
  thaw(): void
  [Symbol.asyncDispose](): Promise<void>
}

export async function startOwnRedis({ password }: { password?: string } = {}): Promise<OwnRedis> {
  const port = await freePort()
  let server: ChildProcess | undefined
  const kill = async () => {
    if (!server) return
    const gone = once(server, 'exit')
    server.kill('SIGKILL')
    await gone
    server = undefined
  }
  const own: OwnRedis = {
    url: `redis://127.0.0.1:${port}`,
    async start() {
      const settings = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']
      const guarded = password === undefined ? settings : [...settings, '--requirepass', password]
      server = spawn('redis-server', guarded, { stdio: 'ignore', cwd: '/' })
      await answers(own.url, password)
    },
    kill,
    freeze: () => void server?.kill('SIGSTOP'),
    thaw: () => void server?.kill('SIGCONT'),
    [Symbol.asyncDispose]: kill,
  }
  await own.start()
  return own
}

async function answers(url: string, password: string | undefined): Promise<void> {
  const redis = new Redis(url, {
    ...(password === undefined ? {} : { password }),
    retryStrategy: () => 50,
    maxRetriesPerRequest: null,
  })
  redis.on('error', () => undefined)
  await redis.ping()
  redis.disconnect()
}

/** Waits until `look` finds something; fails after `timeoutMs`. */
export async function eventually<T>(look: () => Promise<T | null | undefined | false>, timeoutMs = 60_000): Promise<T> {
  const end = Date.now() + timeoutMs
  for (;;) {
    const found = await look()
    if (found) return found
    if (Date.now() > end) throw new Error('It did not happen in time.')
    await sleep(50)
  }
}
