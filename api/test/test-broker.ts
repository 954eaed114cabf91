import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { openDatabase } from '@capstan/migrations'
import type { Logger } from 'pino'

import { startBroker } from '../src/broker/start-broker.js'
import type { KeyManager } from '../src/vault/key-manager.js'
import { createLocalKeyManager, deriveLocalKeys } from '../src/vault/local-key-manager.js'
import { Secret } from '../src/vault/secret.js'
import type { Fixture } from './fixture.js'

export type BrokerSocketPaths = { folder: string; sealSocket: string; openSocket: string }

/** Socket paths that can be named before the broker that will listen there is started. */
export async function chooseSockets(): Promise<BrokerSocketPaths> {
  const folder = await mkdtemp(join(tmpdir(), 'capstan-broker-'))
  return { folder, sealSocket: join(folder, 'seal.sock'), openSocket: join(folder, 'open.sock') }
}

export type TestBroker = AsyncDisposable & { keys: KeyManager; clock: { offsetMs: number } }

/** The real broker, in this process, under its own database role and with a random master key. */
export async function startTestBroker(
  fixture: Fixture,
  sockets: BrokerSocketPaths,
  log: Logger = fixture.deps.log,
): Promise<TestBroker> {
  const database = openDatabase({ url: fixture.databaseUrl('broker'), poolSize: 4 })
  const keys = createLocalKeyManager(deriveLocalKeys({ id: 'test', key: new Secret(randomBytes(32)) }))
  const clock = { offsetMs: 0 }
  const now = () => new Date(Date.now() + clock.offsetMs)
  const broker = await startBroker(
    { db: database.db, keys, pepper: Buffer.from(fixture.deps.pepper), log, now },
    sockets,
  )
  return {
    keys,
    clock,
    [Symbol.asyncDispose]: async () => {
      await broker[Symbol.asyncDispose]()
      await database[Symbol.asyncDispose]()
      await rm(sockets.folder, { recursive: true, force: true })
    },
  }
}

export type SocketReply = { status: number; text: string }

export function askSocket(
  socketPath: string,
  path: string,
  options: { method?: string; token?: string; body?: unknown } = {},
): Promise<SocketReply> {
  const { method = 'POST', token, body } = options
  return new Promise((resolve, reject) => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
    const call = request({ socketPath, path, method, headers }, (response) => {
      const pieces: Buffer[] = []
      response.on('data', (piece: Buffer) => pieces.push(piece))
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(pieces).toString('utf8') }),
      )
    })
    call.on('error', reject)
    call.end(body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body))
  })
}
