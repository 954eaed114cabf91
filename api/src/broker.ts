import { openDatabase } from '@capstan/migrations'
import { pino } from 'pino'

import { startBroker } from './broker/start-broker.js'
import { SocketPathError } from './broker/listen-on-socket.js'
import { BrokerConfig, readConfig, readPassword } from './config.js'
import { untilStopped } from './until-stopped.js'
import { createLocalKeyManager, deriveLocalKeys } from './vault/local-key-manager.js'
import { readMasterKeyFile } from './vault/master-key-file.js'
import { readRawKeyFile, SecretFileError } from './vault/read-secret-file.js'

const config = readConfig(BrokerConfig)
const log = pino({ level: config.LOG_LEVEL, base: { component: 'broker' } })
const stopped = untilStopped()

// Node opens a debugger, and with it all memory, on SIGUSR1 unless somebody listens for it.
process.on('SIGUSR1', () => log.warn('SIGUSR1 ignored'))

try {
  await run()
} catch (error) {
  if (!(error instanceof SecretFileError || error instanceof SocketPathError)) throw error
  process.stderr.write(`Configuration: ${error.message}\n`)
  process.exitCode = 78
}

async function run(): Promise<void> {
  const master = await readMasterKeyFile(config.MASTER_KEY_FILE)
  const keys = createLocalKeyManager(deriveLocalKeys(master))
  master.key[Symbol.dispose]()
  const pepper = await readRawKeyFile(config.TOKEN_PEPPER_FILE, 'TOKEN_PEPPER_FILE')
  const password = readPassword(config.DATABASE_PASSWORD_FILE)
  await using database = openDatabase({
    url: config.DATABASE_URL,
    applicationName: 'capstan-broker',
    poolSize: 5,
    ...(password === undefined ? {} : { password }),
  })
  await using broker = await startBroker(
    { db: database.db, keys, pepper, log, now: () => new Date() },
    { sealSocket: config.BROKER_SEAL_SOCKET, openSocket: config.BROKER_OPEN_SOCKET },
  )
  log.info({ kek: keys.id, sockets: broker.sockets }, 'ready')
  await stopped
}
