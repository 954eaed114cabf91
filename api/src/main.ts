import type { ServerType } from '@hono/node-server'
import { openDatabase } from '@capstan/migrations'
import { createApp } from './app.js'
import { networksOf } from './auth/client-address.js'
import { openCountries } from './auth/country-of.js'
import { ApiConfig, objectStoreSettings, readConfig, readPassword, readStatementKey, staticPlace } from './config.js'
import type { Deps } from './context.js'
import { createLog } from './create-log.js'
import { exitOnBadConfiguration } from './exit-on-bad-configuration.js'
import { keepCheckInLogs } from './insight/check-in-log.js'
import { leaveNoMemoryInCores } from './leave-no-memory-in-cores.js'
import { openObjectStore } from './objects/open-object-store.js'
import { createIssuers } from './openid/issuers.js'
import { createOutbound } from './outbound/create-outbound.js'
import { operatorFacts } from './operator/operator-facts.js'
import { openRedis } from './redis.js'
import { openUpdates } from './updates/open-updates.js'
import { serveCheck } from './updates/serve-check.js'
import { readCertificate } from './transport/read-certificate.js'
import { renewCertificate } from './transport/renew-certificate.js'
import { readWebhookKey } from './webhook-receivers/read-webhook-key.js'
import { untilStopped } from './until-stopped.js'
import { serveApp } from './serve-app.js'
import { createSealClient } from './vault/seal-client.js'
import { readRawKeyFile } from './vault/read-secret-file.js'

leaveNoMemoryInCores()
const config = readConfig(ApiConfig)
const log = createLog('api', config.LOG_LEVEL)
const stopped = untilStopped()

const password = readPassword(config.DATABASE_PASSWORD_FILE)
const database = openDatabase({
  url: config.DATABASE_URL,
  applicationName: 'capstan-api',
  poolSize: 20,
  ...(password === undefined ? {} : { password }),
})
const redis = openRedis(config, log)
const publicUrl = config.PUBLIC_URL.replace(/\/$/, '')
const pepper = await exitOnBadConfiguration(readRawKeyFile(config.TOKEN_PEPPER_FILE, 'TOKEN_PEPPER_FILE'))
const objects = await exitOnBadConfiguration(
  openObjectStore(objectStoreSettings(config), { publicUrl, urlSecret: pepper }),
)
const channelStatementKey = readStatementKey(config.CHANNEL_STATEMENT_KEY_FILE)
const stopping = new AbortController()
void stopped.then(() => stopping.abort())
const updates = await openUpdates({ ...database, log, publicUrl, channelStatementKey, signal: stopping.signal })
const outbound = createOutbound({ privateHosts: config.OUTBOUND_PRIVATE_HOSTS })
const webhookKey = await readWebhookKey(config.WEBHOOK_KEY_FILE)
const deps: Deps = {
  ...updates.parts,
  db: database.db,
  objects: objects.store,
  objectUrls: objects.urls,
  seal: createSealClient(config.BROKER_SEAL_SOCKET),
  redis,
  log,
  now: () => new Date(),
  publicUrl,
  proxies: networksOf(config.TRUSTED_PROXIES),
  countryOf: config.COUNTRY_DATABASE_FILE
    ? await exitOnBadConfiguration(openCountries(config.COUNTRY_DATABASE_FILE))
    : null,
  pepper,
  leaseMs: config.LEASE_MS,
  workerReportMs: config.WORKER_REPORT_MS,
  sourcePrivateHosts: config.SOURCE_PRIVATE_HOSTS,
  webhookKey,
  mailKey: config.MAIL_FROM ? webhookKey : null,
  outbound,
  issuers: createIssuers(outbound),
  outboundPrivateHosts: config.OUTBOUND_PRIVATE_HOSTS,
  appleRoots: config.APPLE_ROOT_FINGERPRINTS,
  channelStatementKey,
  staticPlace: staticPlace(config),
  operator: operatorFacts(config),
}

keepCheckInLogs(deps)
const certificateFiles =
  config.TLS_CERT_FILE && config.TLS_KEY_FILE ? { certFile: config.TLS_CERT_FILE, keyFile: config.TLS_KEY_FILE } : null
const server = await serveApp(createApp(deps), {
  host: config.HOST,
  port: config.PORT,
  first: serveCheck(deps),
  guard: deps,
  ...(certificateFiles
    ? { tls: await exitOnBadConfiguration(Promise.resolve().then(() => readCertificate(certificateFiles))) }
    : {}),
})
if (certificateFiles) renewCertificate(server, certificateFiles, { log, signal: stopping.signal })
log.info({ host: config.HOST, port: config.PORT }, 'ready')
await stopped
await close(server)
await updates[Symbol.asyncDispose]()
redis.disconnect()
await database[Symbol.asyncDispose]()

function close(server: ServerType): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    if ('closeIdleConnections' in server) server.closeIdleConnections()
    setTimeout(() => 'closeAllConnections' in server && server.closeAllConnections(), 3_000).unref()
  })
}
