import { openDatabase } from '@capstan/migrations'
import {
  ControlConfig,
  objectStoreSettings,
  readConfig,
  readPassword,
  readStatementKey,
  staticPlace,
} from './config.js'
import { openBuildQueue } from './control/build-queue.js'
import { startControl } from './control/start-control.js'
import { createLog } from './create-log.js'
import { exitOnBadConfiguration } from './exit-on-bad-configuration.js'
import { leaveNoMemoryInCores } from './leave-no-memory-in-cores.js'
import { openObjectStore } from './objects/open-object-store.js'
import { openMailer } from './mails/open-mailer.js'
import { readMailPassword } from './mails/read-mail-password.js'
import { createOutbound } from './outbound/create-outbound.js'
import { openRedis } from './redis.js'
import { openStaticStore } from './static-delivery/open-static-store.js'
import { openStatementKey } from './updates/sign-channel-statement.js'
import { readWebhookKey } from './webhook-receivers/read-webhook-key.js'
import { untilStopped } from './until-stopped.js'

leaveNoMemoryInCores()
const config = readConfig(ControlConfig)
const log = createLog('control', config.LOG_LEVEL)
const stopped = untilStopped()

const password = readPassword(config.DATABASE_PASSWORD_FILE)
const database = openDatabase({
  url: config.DATABASE_URL,
  applicationName: 'capstan-control',
  poolSize: 6,
  ...(password === undefined ? {} : { password }),
})
const redis = openRedis(config, log)
const objects = await exitOnBadConfiguration(
  openObjectStore(objectStoreSettings(config), { publicUrl: config.PUBLIC_URL }),
)
const statementKey = readStatementKey(config.CHANNEL_STATEMENT_KEY_FILE)
const place = staticPlace(config)
const staticParts =
  place && statementKey ? { store: await openStaticStore(place), key: openStatementKey(statementKey) } : null
const queue = openBuildQueue(redis, (error) => log.debug({ reason: error.message }, 'queue connection'))
const webhookKey = await readWebhookKey(config.WEBHOOK_KEY_FILE)
const mailer =
  config.SMTP_URL && config.MAIL_FROM
    ? openMailer({
        url: new URL(config.SMTP_URL),
        from: config.MAIL_FROM,
        password: await readMailPassword(config.SMTP_PASSWORD_FILE),
      })
    : null
const control = startControl(
  {
    db: database.db,
    listen: database.listen,
    objects: objects.store,
    queue,
    redis,
    staticParts,
    log,
    now: () => new Date(),
    publicUrl: config.PUBLIC_URL.replace(/\/$/, ''),
    mailKey: mailer && webhookKey,
    outbound: createOutbound({ privateHosts: config.OUTBOUND_PRIVATE_HOSTS }),
  },
  {
    webhookKey,
    mailer,
    relayMs: config.RELAY_MS,
    sweepMs: config.SWEEP_MS,
    limits: { perOrganization: config.BUILDS_PER_ORGANIZATION },
  },
)

await Promise.race([control.ready.then(() => log.info('ready')), stopped])
await stopped
await control[Symbol.asyncDispose]()
await Promise.race([queue.close(), new Promise((resolve) => setTimeout(resolve, 2_000).unref())])
redis.disconnect()
mailer?.close()
await database[Symbol.asyncDispose]()
