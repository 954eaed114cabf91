import { openDatabase } from '@capstan/migrations'
import { Redis } from 'ioredis'
import { pino } from 'pino'
import { expect, test } from 'vitest'

import { openBuildQueue } from '../src/control/build-queue.js'
import type { ControlDeps } from '../src/control/control-deps.js'
import { relayOutbox } from '../src/control/relay-outbox.js'
import { claimed, createTestApp, line, queueBuild, underLease } from './build-fixture.js'
import { createFixture } from './fixture.js'
import { keystoreBytes, storePassword } from './keystore-fixtures.js'
import { startOwnRedis } from './own-redis.js'
import { formsOf } from './secret-forms.js'
import { askSocket, chooseSockets, startTestBroker } from './test-broker.js'
import { createCertificate } from './version-fixture.js'

/** Every key with its value, whatever its type, as text. */
async function dump(redis: Redis): Promise<string[]> {
  const readers: Record<string, (key: string) => Promise<unknown>> = {
    string: (key) => redis.get(key),
    hash: (key) => redis.hgetall(key),
    list: (key) => redis.lrange(key, '0', '-1'),
    set: (key) => redis.smembers(key),
    zset: (key) => redis.zrange(key, '0', '-1'),
    stream: (key) => redis.xrange(key, '-', '+'),
  }
  const keys = await redis.keys('*')
  return Promise.all(
    keys.map(async (key) => {
      const type = await redis.type(key)
      const read = readers[type]
      if (!read) throw new Error(`Redis holds a ${type}, which this test cannot read.`)
      return `${key} ${JSON.stringify(await read(key))}`
    }),
  )
}

test('what Redis holds of a signed build is ids: no secret in any form', async () => {
  await using own = await startOwnRedis()
  const redis = new Redis(own.url)
  const sockets = await chooseSockets()
  await using fixture = await createFixture({ sealSocket: sockets.sealSocket, overrides: { redis } })
  await using broker = await startTestBroker(fixture, sockets)
  await using database = openDatabase({ url: fixture.databaseUrl('control'), poolSize: 2 })
  const app = await createTestApp(fixture)
  const certificate = await createCertificate(fixture, app)
  expect(await broker.keys.newestVersion(app.org.id)).toBe(1)
  const variable = 'canary-variable-value-9f2c'
  const build = await queueBuild(fixture, app, {
    platform: 'android',
    type: 'release',
    appCertificateId: certificate.id,
    adHocEnvironmentVariables: { API_SECRET: variable },
  })
  const queue = openBuildQueue(redis, () => undefined)
  const deps = { db: database.db, queue, redis, log: pino({ level: 'silent' }), now: () => new Date() } as ControlDeps
  expect(await relayOutbox(deps)).toBe(1)
  const queued = await dump(redis)
  const entry = await redis.hget(`bull:builds:build-${build.id}-1`, 'data')
  expect(JSON.parse(entry ?? '')).toEqual({ v: 1, orgId: app.org.id, buildId: build.id })

  const claim = await claimed(fixture, await fixture.createWorker(), build.id)
  const request = { credentialId: certificate.id, credentialVersion: 1, attempt: 1, step: 'sign' }
  expect((await askSocket(sockets.openSocket, '/open', { token: claim.lease.token, body: request })).status).toBe(200)
  const asked = { token: claim.lease.token, body: { attempt: 1, purpose: 'variables' } }
  expect((await askSocket(sockets.openSocket, '/open-secrets', asked)).text).toContain(variable)
  const logged = await underLease(fixture, claim, 'logs', { batch: 1, lines: [line('a line of the log')] })
  expect(logged.status).toBeLessThan(300)
  const all = Buffer.from([...queued, ...(await dump(redis))].join('\n'))
  expect(all.includes(build.id)).toBe(true)
  const file = keystoreBytes('rsa.p12')
  const secrets = [storePassword, variable, claim.lease.token, app.token, file.subarray(40, 80).toString('base64')]
  for (const form of secrets.flatMap(formsOf)) expect([form, all.includes(form)]).toEqual([form, false])
  await queue.close()
  redis.disconnect()
})
