import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { crc32 } from 'node:zlib'

import type { Fixture } from '../fixture.js'
import { writeDeletionKey } from '../test-broker.js'

export type StartedApi = { url: string; stop(): Promise<void> }

/** API and broker in processes of their own, as they are run, on the database and with the people of a fixture. */
export async function startApi(fixture: Fixture): Promise<StartedApi> {
  const folder = join(fixture.folder, 'processes')
  await mkdir(folder, { mode: 0o700 })
  const secretFile = async (name: string, content: string | Uint8Array) => {
    const path = join(folder, name)
    await writeFile(path, content, { mode: 0o600 })
    return path
  }
  const url = `http://127.0.0.1:${await freePort()}`
  const masterKey = `mk1:primary:${randomBytes(32).toString('base64')}`
  const shared = {
    LOG_LEVEL: 'info',
    PUBLIC_URL: url,
    TOKEN_PEPPER_FILE: await secretFile('pepper', fixture.deps.pepper),
    BROKER_SEAL_SOCKET: join(folder, 'seal.sock'),
  }
  const broker = await start('broker.js', {
    ...shared,
    DATABASE_URL: fixture.databaseUrl('broker'),
    MASTER_KEY_FILE: await secretFile('master.key', `${masterKey}:${crc32(masterKey).toString(16).padStart(8, '0')}\n`),
    BROKER_OPEN_SOCKET: join(folder, 'open.sock'),
    BROKER_ADMIN_SOCKET: join(folder, 'admin.sock'),
    KEY_STORE_DIR: join(folder, 'keys'),
    DELETION_KEY_FILE: await writeDeletionKey(folder),
    CHECKPOINT_KEY_FILE: await writeDeletionKey(folder, 'checkpoint-key.pem'),
    CHECKPOINT_DIR: join(folder, 'checkpoints'),
  })
  const api = await start('main.js', {
    ...shared,
    DATABASE_URL: fixture.databaseUrl('api'),
    REDIS_URL: process.env.TEST_REDIS_URL ?? 'redis://127.0.0.1:6379',
    PORT: new URL(url).port,
    OBJECT_STORE_DIR: join(folder, 'objects'),
    OBJECT_STORE_KEY_FILE: await secretFile('object-store.key', randomBytes(32)),
  })
  return {
    url,
    async stop() {
      for (const child of [api, broker]) {
        child.kill('SIGTERM')
        if (child.exitCode === null) await once(child, 'exit')
      }
    },
  }
}

async function start(name: string, env: Record<string, string>): Promise<ChildProcess> {
  const entry = fileURLToPath(new URL(`../../dist/${name}`, import.meta.url))
  const child = spawn(process.execPath, [entry], {
    env: { PATH: process.env.PATH ?? '', NODE_NO_WARNINGS: '1', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await new Promise<void>((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`${name} ended with ${code} before it was ready`)))
    child.stdout.on('data', (piece: Buffer) => {
      if (piece.includes('"msg":"ready"')) resolve()
    })
  })
  return child
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  return port
}
