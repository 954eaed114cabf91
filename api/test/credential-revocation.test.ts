import { auditEvents, openDatabase, type OpenDatabase, withOrg } from '@capstan/migrations'
import { desc, eq } from 'drizzle-orm'
import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import type { ControlDeps } from '../src/control/control-deps.js'
import { sweepLeases } from '../src/control/sweep-leases.js'
import { claimed, createTestApp, queueBuild, type TestApp, underLease } from './build-fixture.js'
import { createFixture, type Fixture } from './fixture.js'
import { leaseBuild, type LeasedBuild, storeCredential, type StoredCredential } from './leased-build.js'
import { askSocket, type BrokerSocketPaths, chooseSockets, startTestBroker, type TestBroker } from './test-broker.js'

let fixture: Fixture
let sockets: BrokerSocketPaths
let broker: TestBroker
let control: OpenDatabase
let ownerDatabase: OpenDatabase
let owner: OpenDatabase['sql']
let app: TestApp
let credential: StoredCredential
const payload = '{"secret":true}'

beforeAll(async () => {
  sockets = await chooseSockets()
  fixture = await createFixture({ sealSocket: sockets.sealSocket })
  broker = await startTestBroker(fixture, sockets)
  control = openDatabase({ url: fixture.databaseUrl('control'), poolSize: 2 })
  ownerDatabase = openDatabase({ url: fixture.ownerUrl, poolSize: 2 })
  owner = ownerDatabase.sql
  app = await createTestApp(fixture)
})
afterAll(async () => {
  await ownerDatabase[Symbol.asyncDispose]()
  await control[Symbol.asyncDispose]()
  await broker[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})
beforeEach(async () => {
  credential = await storeCredential(fixture, app.org.id, app.id, payload)
})

const open = ({ token, request }: Pick<LeasedBuild, 'token' | 'request'>) =>
  askSocket(sockets.openSocket, '/open', { token, body: request })
const cancel = (jobId: string) =>
  fixture.request('PATCH', `/v1/jobs/${jobId}`, { token: app.token, body: { status: 'canceled' } })
async function lastRefusal(): Promise<unknown> {
  const [row] = await withOrg(fixture.deps.db, app.org.id, (tx) =>
    tx
      .select({ event: auditEvents.event })
      .from(auditEvents)
      .where(eq(auditEvents.action, 'credential.use_refused'))
      .orderBy(desc(auditEvents.seq))
      .limit(1),
  )
  return (JSON.parse(row?.event ?? '{}') as { data?: { reason?: string } }).data?.reason
}
/** A worker's claim of a build that signs with the credential, and what it would ask the broker. */
async function claimSigned() {
  const certificate = { appCertificateId: credential.id }
  const build = await queueBuild(fixture, app, { platform: 'android', type: 'release', ...certificate })
  const claim = await claimed(fixture, await fixture.createWorker(), build.id)
  const request = { credentialId: credential.id, credentialVersion: 1, attempt: claim.attempt, step: 'sign' as const }
  return { build, claim, token: claim.lease.token, request }
}
const controlDeps = (offsetMs: number) =>
  ({
    db: control.db,
    objects: fixture.deps.objects,
    redis: fixture.deps.redis,
    log: pino({ level: 'silent' }),
    now: () => new Date(Date.now() + offsetMs),
  }) as ControlDeps

describe('a lease is worth nothing', () => {
  test('from the moment somebody cancels the build, before its worker has heard of it', async () => {
    const [kept, canceled] = [await claimSigned(), await claimSigned()]
    expect((await cancel(canceled.build.jobId)).status).toBe(200)
    expect((await open(canceled)).status).toBe(403)
    expect(await lastRefusal()).toBe('cancel-requested')
    const finish = { status: 'canceled', retryable: false }
    expect((await underLease(fixture, canceled.claim, 'finish', finish)).status).toBe(204)
    expect((await open(canceled)).status).toBe(403)
    expect(await lastRefusal()).toBe('lease-ended')
    expect(await open(kept)).toEqual({ status: 200, text: payload })
  })

  test('once its worker was killed, and the next attempt opens with a lease of its own', async () => {
    const first = await claimSigned()
    await sweepLeases(controlDeps(61_000))
    expect((await open(first)).status).toBe(403)
    expect(await lastRefusal()).toBe('lease-ended')
    const claim = await claimed(fixture, await fixture.createWorker(), first.build.id)
    const second = { token: claim.lease.token, request: { ...first.request, attempt: 2 } }
    expect(await open(second)).toEqual({ status: 200, text: payload })
    expect((await open(first)).status).toBe(403)
  })
})

describe('a lease that ends in the same instant', () => {
  /** Ends the lease in a transaction that stays open until the broker waits for it; what the broker then answers. */
  async function openWhileEnding(build: LeasedBuild, keep: boolean) {
    const opening: ReturnType<typeof open>[] = []
    await owner
      .begin(async (tx) => {
        await tx`select 1 from jobs where id = ${build.jobId} for update`
        await tx`update leases set ended_at = now() where id = ${build.leaseId}`
        opening.push(open(build))
        await brokerWaits()
        if (!keep) throw new Error('rolled back')
      })
      .catch((error: Error) => expect(error.message).toBe('rolled back'))
    return opening[0]
  }
  async function brokerWaits(): Promise<void> {
    const waiting = () => owner`select 1 from pg_stat_activity
      where datname = current_database() and usename = 'capstan_broker' and wait_event_type = 'Lock'`
    await expect.poll(async () => (await waiting()).length).toBe(1)
  }

  test('cannot open: the broker waits for whoever ends it', async () => {
    const build = await leaseBuild(fixture, app.org.id, credential)
    expect((await openWhileEnding(build, true))?.status).toBe(403)
    expect(await lastRefusal()).toBe('lease-ended')
  })

  test('opens when it did not end after all', async () => {
    const build = await leaseBuild(fixture, app.org.id, credential)
    expect(await openWhileEnding(build, false)).toEqual({ status: 200, text: payload })
  })

  test('is locked by a role that cannot end it', async () => {
    const database = openDatabase({ url: fixture.databaseUrl('broker'), poolSize: 1 })
    await expect(database.sql`update leases set ended_at = now()`).rejects.toThrow(/permission denied/)
    await expect(database.sql`update jobs set status = 'failed'`).rejects.toThrow(/permission denied/)
    await database[Symbol.asyncDispose]()
  })
})

test('over many builds there are as many events of use as openings, one for each lease that signed', async () => {
  const ownApp = await createTestApp(fixture)
  const own = await storeCredential(fixture, ownApp.org.id, ownApp.id, payload)
  const builds = await Promise.all(Array.from({ length: 40 }, () => leaseBuild(fixture, ownApp.org.id, own)))
  const ended = builds.filter((_, index) => index % 4 === 3)
  await owner`update leases set ended_at = now() where id in ${owner(ended.map(({ leaseId }) => leaseId))}`
  const altered = { credentialVersion: 2 }
  const asked = builds.flatMap((build) => [
    open(build),
    open({ ...build, request: { ...build.request, ...altered } }),
    open(build),
  ])
  const replies = await Promise.all(asked)
  expect(replies.filter(({ status }) => status === 200)).toHaveLength(30)
  expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([200, 403]))
  const [counts] = await owner<{ opens: number; used: number; leases: number; facts: number; refused: number }[]>`
    with events as (select event::jsonb as e, action from audit_events where org_id = ${ownApp.org.id}),
      used as (select e #>> '{actor,via,id}' as lease, e from events where action = 'credential.used')
    select (select count(*)::int from credential_opens where org_id = ${ownApp.org.id}) as opens,
      (select count(*)::int from used) as used,
      (select count(distinct o.lease_id)::int from credential_opens o join used u on u.lease = o.lease_id::text) as leases,
      (select count(*)::int from used where e #>> '{data,fingerprint}' = ${'f'.repeat(64)} and e #>> '{data,attempt}' = '1'
        and e #>> '{data,worker}' = 'test-worker' and e #>> '{target,build}' is not null) as facts,
      (select count(*)::int from events where action = 'credential.use_refused') as refused`
  expect(counts).toEqual({ opens: 30, used: 30, leases: 30, facts: 30, refused: 90 })
})
