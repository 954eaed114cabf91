import { openDatabase } from '@capstan/migrations'

import { makeCheckpoints } from './audit/checkpoints/make-checkpoints.js'
import { SocketPathError } from './broker/listen-on-socket.js'
import { openRootKeys } from './broker/open-root-keys.js'
import { readCheckpointKey } from './broker/read-checkpoint-key.js'
import { readDeletionSigner } from './broker/read-deletion-signer.js'
import { startBroker } from './broker/start-broker.js'
import { BrokerConfig, readConfig, readPassword } from './config.js'
import { repeat } from './control/repeat.js'
import { createLog } from './create-log.js'
import { leaveNoMemoryInCores } from './leave-no-memory-in-cores.js'
import { untilStopped } from './until-stopped.js'
import { openDirectoryKeyStore } from './vault/directory-key-store.js'
import { KeyStoreError } from './vault/key-store.js'
import { createOrganizationKeys } from './vault/organization-keys.js'
import { readRawKeyFile, SecretFileError } from './vault/read-secret-file.js'

leaveNoMemoryInCores()
const config = readConfig(BrokerConfig)
const log = createLog('broker', config.LOG_LEVEL)
const stopped = untilStopped()

// Node opens a debugger, and with it all memory, on SIGUSR1 unless somebody listens for it.
process.on('SIGUSR1', () => log.warn('SIGUSR1 ignored'))

try {
  await run()
} catch (error) {
  const refusals = [SecretFileError, SocketPathError, KeyStoreError]
  if (!(error instanceof Error && refusals.some((refusal) => error instanceof refusal))) throw error
  process.stderr.write(`Configuration: ${error.message}\n`)
  process.exitCode = 78
}

async function run(): Promise<void> {
  const root = await openRootKeys(config)
  const keys = createOrganizationKeys({ root, store: await openDirectoryKeyStore(config.KEY_STORE_DIR) })
  const deletionSigner = await readDeletionSigner(config.DELETION_KEY_FILE)
  const checkpointKey = await readCheckpointKey(config.CHECKPOINT_KEY_FILE)
  const states = await openDirectoryKeyStore(config.CHECKPOINT_DIR, 'CHECKPOINT_DIR')
  const { host } = new URL(config.PUBLIC_URL)
  const provenanceKey = config.PROVENANCE_KEY_FILE
  const provenance = provenanceKey && {
    signer: await readDeletionSigner(provenanceKey, 'PROVENANCE_KEY_FILE'),
    publicUrl: config.PUBLIC_URL.replace(/\/$/, ''),
  }
  const pepper = await readRawKeyFile(config.TOKEN_PEPPER_FILE, 'TOKEN_PEPPER_FILE')
  const password = readPassword(config.DATABASE_PASSWORD_FILE)
  await using database = openDatabase({
    url: config.DATABASE_URL,
    applicationName: 'capstan-broker',
    poolSize: 5,
    ...(password === undefined ? {} : { password }),
  })
  const settings = {
    pepper,
    deletionSigner,
    provenance: provenance || null,
    checkpointKeyPem: checkpointKey.publicKeyPem,
    keyStoreRetentionDays: config.KEY_STORE_RETENTION_DAYS,
  }
  await using broker = await startBroker(
    { db: database.db, keys, ...settings, log, now: () => new Date() },
    {
      sealSocket: config.BROKER_SEAL_SOCKET,
      openSocket: config.BROKER_OPEN_SOCKET,
      adminSocket: config.BROKER_ADMIN_SOCKET,
    },
  )
  const stopping = new AbortController()
  const checkpoints = repeat(
    () => makeCheckpoints({ db: database.db, key: checkpointKey, states, host, log, now: () => new Date() }),
    {
      everyMs: config.CHECKPOINT_MS,
      signal: stopping.signal,
      onFailure: (error) => log.error({ err: error }, 'checkpoints could not be made'),
    },
  )
  log.info({ root: root.id, sockets: broker.sockets }, 'ready')
  await stopped
  stopping.abort()
  await checkpoints.ended
}
