import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { openDatabase } from '@capstan/migrations'
import type { Logger } from 'pino'

import type { DeletionSigner } from '../src/broker/broker-deps.js'
import { readDeletionSigner } from '../src/broker/read-deletion-signer.js'
import { startBroker } from '../src/broker/start-broker.js'
import { openDirectoryKeyStore } from '../src/vault/directory-key-store.js'
import type { RootKeys } from '../src/vault/key-manager.js'
import type { KeyStore } from '../src/vault/key-store.js'
import { createLocalKeyManager, deriveLocalKeys } from '../src/vault/local-key-manager.js'
import { createOrganizationKeys, type OrganizationKeys } from '../src/vault/organization-keys.js'
import { Secret } from '../src/vault/secret.js'
import type { Fixture } from './fixture.js'

export type BrokerSocketPaths = { folder: string; sealSocket: string; openSocket: string; adminSocket: string }

/** Socket paths that can be named before the broker that will listen there is started. */
export async function chooseSockets(): Promise<BrokerSocketPaths> {
  const folder = await mkdtemp(join(tmpdir(), 'capstan-broker-'))
  const socket = (name: string) => join(folder, `${name}.sock`)
  return { folder, sealSocket: socket('seal'), openSocket: socket('open'), adminSocket: socket('admin') }
}

export type TestBroker = AsyncDisposable & {
  keys: OrganizationKeys
  root: RootKeys
  store: KeyStore
  /** Folder of the key store. */
  storeFolder: string
  deletionSigner: DeletionSigner
  checkpointKeyPem: string
  clock: { offsetMs: number }
}

export const createTestRoot = (id = 'test'): RootKeys =>
  createLocalKeyManager(deriveLocalKeys({ id, key: new Secret(randomBytes(32)) }))

/** The real broker, in this process, under its own database role and with a random master key. */
export async function startTestBroker(
  fixture: Fixture,
  sockets: BrokerSocketPaths,
  log: Logger = fixture.deps.log,
): Promise<TestBroker> {
  const database = openDatabase({ url: fixture.databaseUrl('broker'), poolSize: 4 })
  const clock = { offsetMs: 0 }
  const now = () => new Date(Date.now() + clock.offsetMs)
  const root = createTestRoot()
  const storeFolder = join(sockets.folder, 'keys')
  const store = await openDirectoryKeyStore(storeFolder)
  const keys = createOrganizationKeys({ root, store, now })
  const deletionSigner = await readDeletionSigner(await writeDeletionKey(sockets.folder))
  const signer = await readDeletionSigner(await writeDeletionKey(sockets.folder, 'provenance-key.pem'))
  const checkpointKeyPem = generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }).toString()
  const provenance = { signer, publicUrl: fixture.deps.publicUrl }
  const pepper = Buffer.from(fixture.deps.pepper)
  const broker = await startBroker(
    { db: database.db, keys, pepper, deletionSigner, provenance, checkpointKeyPem, keyStoreRetentionDays: 7, log, now },
    sockets,
  )
  return {
    keys,
    root,
    store,
    storeFolder,
    deletionSigner,
    checkpointKeyPem,
    clock,
    [Symbol.asyncDispose]: async () => {
      await broker[Symbol.asyncDispose]()
      await database[Symbol.asyncDispose]()
      await rm(sockets.folder, { recursive: true, force: true })
    },
  }
}

export async function writeDeletionKey(folder: string, name = 'deletion-key.pem'): Promise<string> {
  const path = join(folder, name)
  const { privateKey } = generateKeyPairSync('ed25519')
  await writeFile(path, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
  return path
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
