import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { appWebhookDeliveries, appWebhooks, type OpenDatabase, openDatabase, withOrg } from '@capstan/migrations'
import { eq, sql } from 'drizzle-orm'
import { Webhook as Verifier } from 'standardwebhooks'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createDeliverySender } from '../src/control/send-deliveries.js'
import { createOutbound } from '../src/outbound/create-outbound.js'
import { sealForReceiver } from '../src/webhook-receivers/seal-for-receiver.js'
import { createTestApp, queueBuild, type TestApp } from './build-fixture.js'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import { createLiveUpdateApp, zipOf } from './live-update-app.js'

type Received = { path: string; headers: IncomingHttpHeaders; body: string }
let receiver: Server
let host: string
let received: Received[] = []
let answer: { status: number; headers?: Record<string, string> }
/** Requests to `/hang` wait until this settles. */
let hanging: Promise<void> = Promise.resolve()
let fixture: Fixture
let control: OpenDatabase
let org: TestOrganization
let app: TestApp
let owner: string

beforeAll(async () => {
  receiver = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', (text: string) => (body += text))
    request.on('end', () => {
      received.push({ path: request.url ?? '', headers: request.headers, body })
      const end = () => response.writeHead(answer.status, answer.headers).end()
      if (request.url === '/hang') void hanging.then(end)
      else end()
    })
  }).listen(0, '127.0.0.1')
  await once(receiver, 'listening')
  host = `127.0.0.1:${(receiver.address() as AddressInfo).port}`
  fixture = await createFixture({ overrides: { outboundPrivateHosts: [host] } })
  control = openDatabase({ url: fixture.databaseUrl('control'), poolSize: 4 })
})
beforeEach(async () => {
  ;[received, answer] = [[], { status: 204 }]
  // A pass sends what is due of every organization.
  await using database = openDatabase({ url: fixture.ownerUrl, poolSize: 1 })
  await database.db.delete(appWebhooks)
  org = await fixture.createOrganization()
  owner = (await fixture.signIn(org.userIds.owner, { secondFactorAt: new Date() })).token
  app = await createTestApp(fixture, org)
})
afterAll(async () => {
  receiver.closeAllConnections()
  receiver.close()
  await control[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})

type Webhook = {
  id: string
  url: string
  signingSecret: string
  enabled: boolean
  disabledReason: string | null
  failingSince: string | null
}
type Delivery = {
  id: string
  event: string
  data: Record<string, unknown>
  status: string
  attempts: number
  lastStatus: number | null
  lastFailure: string | null
  nextAttemptAt: string | null
}
const sending = { now: () => new Date(), publicUrl: 'http://capstan.test', mailKey: null }
const EVENTS = ['app_build_created', 'app_deployment_created', 'job_created', 'job_finished']
const pathOf = (appId = app.id) => `/v1/apps/${appId}/webhooks`
const create = (body: object = {}, { token = owner, appId = app.id } = {}) =>
  fixture.request('POST', pathOf(appId), {
    token,
    body: { name: 'Hook', url: `http://${host}/hook`, events: EVENTS, ...body },
  })
const webhookOf = async (body: object = {}, options: { token?: string; appId?: string } = {}): Promise<Webhook> => {
  const made = await create(body, options)
  expect(made.status).toBe(201)
  return made.json<Webhook>()
}
const call = (method: string, rest: string, body?: object, token = owner) =>
  fixture.request(method, `${pathOf()}${rest}`, { token, ...(body ? { body } : {}) })
const stateOf = async ({ id }: { id: string }) => (await call('GET', `/${id}`)).json<Webhook>()
const deliveriesOf = async ({ id }: { id: string }, query = '') =>
  (await call('GET', `/${id}/deliveries${query}`)).json<Delivery[]>()
const pass = async (key: Uint8Array | null = fixture.deps.webhookKey): Promise<number> => {
  const { outbound, log } = fixture.deps
  const sender = createDeliverySender({ ...sending, outbound, log, db: control.db }, key)
  const begun = await sender.pass()
  await sender.drain()
  return begun
}
/** Until nothing is due: an organization has two places at once. */
const passAll = async (): Promise<number> => {
  let sent = 0
  for (let round = 0; round < 20; round += 1) {
    const begun = await pass()
    if (begun === 0) return sent
    sent += begun
  }
  throw new Error('There is always something due.')
}
/** Makes what is due in the future due now, as time would. */
const untilDue = (orgId = org.id) =>
  withOrg(control.db, orgId, (tx) =>
    tx.update(appWebhookDeliveries).set({ nextAttemptAt: sql`now() - interval '1 second'` }),
  )
const cancelBuild = (jobId: string) =>
  fixture.request('PATCH', `/v1/jobs/${jobId}`, { token: app.token, body: { status: 'canceled' } })

describe('a webhook of an app', () => {
  test('is sent what happens, in the transaction of which the message was left, signed as Standard Webhooks', async () => {
    const { signingSecret } = await webhookOf()
    const { jobId } = await queueBuild(fixture, app)
    expect((await cancelBuild(jobId)).status).toBeLessThan(300)
    expect(await passAll()).toBe(3)
    const verifier = new Verifier(signingSecret)
    const bodies = received.map(({ headers, body }) => {
      const signed = headers as Record<string, string>
      expect(() => verifier.verify(`${body} `, signed)).toThrow()
      return verifier.verify(body, signed) as { event: string; timestamp: string; data: Record<string, unknown> }
    })
    expect(bodies.map(({ event }) => event).sort()).toEqual(['app_build_created', 'job_created', 'job_finished'])
    expect(bodies.find(({ event }) => event === 'job_finished')?.data).toMatchObject({
      id: jobId,
      appId: app.id,
      appName: 'App',
      appBuildNumberAsString: '1',
      platform: 'web',
      status: 'canceled',
      createdAt: expect.any(Number),
      finishedAt: expect.any(Number),
    })
    expect(new Set(received.map(({ headers }) => headers['webhook-id'])).size).toBe(3)
    expect(await passAll()).toBe(0)
  })

  test('is sent deployments, and of all events only those that were asked for', async () => {
    const live = await createLiveUpdateApp(fixture, org)
    await webhookOf({ events: ['app_deployment_created'] }, { appId: live.appId })
    await live.must('POST', '/channels', { name: 'production' })
    await live.publishZip(zipOf({ 'index.html': 'a' }), { bundle: { channelName: 'production' } })
    expect(await passAll()).toBe(1)
    expect(JSON.parse(received[0]!.body)).toMatchObject({
      event: 'app_deployment_created',
      data: { appName: 'Shop', appChannelName: 'production', rolloutPercentage: 1 },
    })
  })

  test.each([
    ['slack', { text: 'Build 1 (web) of App &lt;!here&gt; *now* was created.' }],
    [
      'discord',
      { content: 'Build 1 (web) of App \\<!here\\> \\*now\\* was created.', allowed_mentions: { parse: [] } },
    ],
  ])('speaks to %s in a sentence whose names mean nothing there', async (format, message) => {
    await fixture.request('PATCH', `/v1/apps/${app.id}`, { token: owner, body: { name: 'App <!here>\n*now*' } })
    await webhookOf({ format, events: ['app_build_created'] })
    await queueBuild(fixture, app)
    await passAll()
    expect(received.map(({ body }) => JSON.parse(body) as object)).toEqual([message])
  })

  test('speaks to Teams with a card', async () => {
    await webhookOf({ format: 'teams', events: ['job_created'] })
    await queueBuild(fixture, app)
    await passAll()
    expect(JSON.parse(received[0]!.body)).toMatchObject({
      type: 'message',
      attachments: [
        {
          contentType: 'application/vnd.microsoft.card.adaptive',
          content: { body: [{ text: 'Build 1 (web) of App waits for a worker.' }] },
        },
      ],
    })
  })

  test('that fails is tried again with the same id, later each time, and stops after ten attempts over three days', async () => {
    const webhook = await webhookOf({ events: ['job_created'] })
    await queueBuild(fixture, app)
    answer = { status: 500 }
    const waits: number[] = []
    for (let attempt = 1; attempt <= 9; attempt += 1) {
      expect(await pass()).toBe(1)
      const [delivery] = await deliveriesOf(webhook)
      expect(delivery).toMatchObject({
        status: 'pending',
        attempts: attempt,
        lastStatus: 500,
        lastFailure: 'It answered with status 500.',
      })
      expect(await pass()).toBe(0)
      const [row] = await withOrg(control.db, org.id, (tx) => tx.select().from(appWebhookDeliveries))
      waits.push(Math.round((row!.nextAttemptAt.getTime() - row!.lastAttemptAt!.getTime()) / 60_000))
      await untilDue()
    }
    expect(waits).toEqual([...waits].sort((a, b) => a - b))
    expect(waits.reduce((sum, minutes) => sum + minutes, 0) / 60).toBeGreaterThan(48)
    expect((await stateOf(webhook)).enabled).toBe(true)
    expect(await pass()).toBe(1)
    expect(new Set(received.map(({ headers }) => headers['webhook-id'])).size).toBe(1)
    expect(received).toHaveLength(10)
    // Nothing was taken in all that time: it is disabled, and the log says so.
    expect(await stateOf(webhook)).toMatchObject({ enabled: false, disabledReason: expect.stringContaining('ten') })
    const log = await fixture.request('GET', `/v1/organizations/${org.id}/audit-events?action=app-webhook.disabled`, {
      token: owner,
    })
    expect(await log.text()).toContain(webhook.id)
    await untilDue()
    expect(await pass()).toBe(0)
  })

  test('that is disabled is sent nothing; enabled again it is sent what is asked for once more', async () => {
    const webhook = await webhookOf({ events: ['job_created'] })
    await queueBuild(fixture, app)
    expect((await call('PATCH', `/${webhook.id}`, { enabled: false })).status).toBe(200)
    const second = await queueBuild(fixture, app)
    expect([await passAll(), received]).toEqual([0, []])
    const deliveries = await deliveriesOf(webhook)
    expect(deliveries.map(({ status, lastFailure }) => [status, lastFailure])).toEqual([
      ['failed', 'The webhook was disabled.'],
    ])
    expect(deliveries[0]?.data.appBuildId).not.toBe(second.id)
    const again = `/${webhook.id}/deliveries/${deliveries[0]?.id}/redeliveries`
    expect((await (await call('POST', again)).json()).code).toBe('webhook-disabled')
    await call('PATCH', `/${webhook.id}`, { enabled: true })
    expect((await call('POST', again)).status).toBe(202)
    expect((await (await call('POST', again)).json()).code).toBe('delivery-pending')
    expect(await passAll()).toBe(1)
    expect(received[0]?.headers['webhook-id']).toBe(deliveries[0]?.id)
    expect(await deliveriesOf(webhook, '?status=delivered')).toHaveLength(1)
    expect(await deliveriesOf(webhook, '?status=failed')).toHaveLength(0)
  })

  test('whose receiver says that it is gone is disabled at once', async () => {
    const webhook = await webhookOf({ events: ['job_created'] })
    await queueBuild(fixture, app)
    answer = { status: 410 }
    expect(await pass()).toBe(1)
    expect(await stateOf(webhook)).toMatchObject({ enabled: false, disabledReason: expect.stringContaining('410') })
  })

  test('follows no redirect', async () => {
    const webhook = await webhookOf({ events: ['job_created'] })
    await queueBuild(fixture, app)
    answer = { status: 302, headers: { location: `http://${host}/elsewhere` } }
    await pass()
    expect((await deliveriesOf(webhook))[0]?.lastFailure).toContain('redirect-refused')
    expect(received.map(({ path }) => path)).toEqual(['/hook'])
  })

  test('of an organization that is dead holds up nobody else', async () => {
    let release: () => void = () => undefined
    hanging = new Promise((resolve) => (release = resolve))
    await webhookOf({ url: `http://${host}/hang`, events: ['job_created'] })
    for (let builds = 0; builds < 5; builds += 1) await queueBuild(fixture, app)
    const { log, webhookKey } = fixture.deps
    const outbound = createOutbound({ privateHosts: [host], timeoutMs: 60_000 })
    const sender = createDeliverySender({ ...sending, outbound, log, db: control.db }, webhookKey)
    expect(await sender.pass()).toBe(2)
    expect(await sender.pass()).toBe(0)
    const rival = await fixture.createOrganization('Rival')
    const theirs = await createTestApp(fixture, rival)
    const token = (await fixture.signIn(rival.userIds.owner, { secondFactorAt: new Date() })).token
    await webhookOf({ events: ['job_created'] }, { token, appId: theirs.id })
    await queueBuild(fixture, theirs)
    // The dead one is still under way.
    expect(await sender.pass()).toBe(1)
    await expect.poll(() => received.some(({ path }) => path === '/hook')).toBe(true)
    release()
    await sender.drain()
  })

  test('is tried by one process at a time; what a process left on the way is tried by another', async () => {
    await webhookOf({ events: ['job_created'] })
    await queueBuild(fixture, app)
    expect((await Promise.all([pass(), pass(), pass()])).some((begun) => begun === 1)).toBe(true)
    expect(received).toHaveLength(1)
    await withOrg(control.db, org.id, (tx) =>
      tx.update(appWebhookDeliveries).set({ status: 'pending', deliveredAt: null }),
    )
    expect(await pass()).toBe(0)
    await untilDue()
    expect(await pass()).toBe(1)
    expect(received).toHaveLength(2)
  })

  test('belongs to an organization that is being ended: nothing is left, nothing is sent', async () => {
    await webhookOf({ events: ['job_created', 'job_finished'] })
    await queueBuild(fixture, app)
    await using database = openDatabase({ url: fixture.ownerUrl, poolSize: 1 })
    await database.db.execute(sql`update organizations set terminating_at = now() where id = ${org.id}`)
    expect(await pass()).toBe(0)
    // Such as the end of its builds.
    await database.db.execute(sql`delete from app_webhook_deliveries`)
    await database.db.execute(
      sql`update jobs set status = 'canceled', finished_at = now() where org_id = ${org.id} and status = 'queued'`,
    )
    expect(await database.db.$count(appWebhookDeliveries)).toBe(0)
    expect(received).toEqual([])
  })
})

describe('the address and the secret of a webhook', () => {
  test('are sealed, and the secret is shown once', async () => {
    const webhook = await webhookOf({ url: `http://${host}/services/T0/B0/hook-token` })
    expect(webhook.signingSecret).toMatch(/^whsec_[\w+/]{43}=$/)
    const [row] = await withOrg(control.db, org.id, (tx) => tx.select().from(appWebhooks))
    const stored = JSON.stringify(row, (_key, value: unknown) => (value instanceof Uint8Array ? '' : value))
    expect(stored).not.toContain('hook-token')
    expect(Buffer.from(row!.sealedUrl).toString('latin1')).not.toContain('hook-token')
    for (const rest of ['', `/${webhook.id}`]) {
      const text = await (await call('GET', rest)).text()
      expect(text).toContain('hook-token')
      expect(text).not.toContain(webhook.signingSecret)
    }
    const audit = await fixture.request('GET', `/v1/organizations/${org.id}/audit-events`, { token: owner })
    const log = await audit.text()
    expect(log).toContain('app-webhook.created')
    expect(log).not.toContain('hook-token')
  })

  test('the secret may be the caller’s own, if Standard Webhooks could use it', async () => {
    const own = `whsec_${Buffer.alloc(24, 7).toString('base64')}`
    expect((await webhookOf({ signingSecret: own })).signingSecret).toBe(own)
    for (const signingSecret of ['secret', 'whsec_', `whsec_${Buffer.alloc(23).toString('base64')}`, 'whsec_***']) {
      const refused = await create({ signingSecret })
      expect([refused.status, (await refused.json()).code]).toEqual([422, 'signing-secret-invalid'])
    }
  })

  test('while a rotation overlaps both secrets sign; a secret that is replaced counts no more', async () => {
    const webhook = await webhookOf({ events: ['job_created'] })
    const rotated = await call('POST', `/${webhook.id}/secret-rotations`, {})
    const { signingSecret } = await rotated.json<Webhook>()
    await queueBuild(fixture, app)
    await passAll()
    const signed = received[0]!.headers as Record<string, string>
    for (const secret of [webhook.signingSecret, signingSecret]) {
      expect(new Verifier(secret).verify(received[0]!.body, signed)).toBeTruthy()
    }
    const replaced = `whsec_${Buffer.alloc(32, 9).toString('base64')}`
    expect((await call('PATCH', `/${webhook.id}`, { signingSecret: replaced })).status).toBe(200)
    await queueBuild(fixture, app)
    await passAll()
    const later = received[1]!.headers as Record<string, string>
    expect(new Verifier(replaced).verify(received[1]!.body, later)).toBeTruthy()
    for (const secret of [webhook.signingSecret, signingSecret]) {
      expect(() => new Verifier(secret).verify(received[1]!.body, later)).toThrow()
    }
  })

  test('another key opens neither, and without one nothing is sent', async () => {
    const webhook = await webhookOf({ events: ['job_created'] })
    await queueBuild(fixture, app)
    expect([await pass(null), received]).toEqual([0, []])
    await pass(Buffer.alloc(32, 7))
    expect(received).toEqual([])
    expect((await deliveriesOf(webhook))[0]?.lastFailure).toContain('could not be sent')
  })

  test('a private address is refused when it is set, and not called when it is there all the same (D08)', async () => {
    const webhook = await webhookOf({ events: ['job_created'] })
    for (const url of ['https://127.0.0.1/', 'https://[::ffff:a9fe:a9fe]/', 'http://a.example.com/', 'file:///etc/x']) {
      for (const refused of [await create({ url }), await call('PATCH', `/${webhook.id}`, { url })]) {
        expect([refused.status, (await refused.json()).code]).toEqual([422, 'outbound-address-refused'])
      }
    }
    const sealedUrl = sealForReceiver(
      fixture.deps.webhookKey!,
      'app-webhook-url',
      webhook.id,
      'https://169.254.169.254/latest',
    )
    await withOrg(fixture.deps.db, org.id, (tx) =>
      tx.update(appWebhooks).set({ sealedUrl }).where(eq(appWebhooks.id, webhook.id)),
    )
    await queueBuild(fixture, app)
    await pass()
    expect((await deliveriesOf(webhook))[0]?.lastFailure).toContain('url-refused')
    expect(received).toEqual([])
  })
})

describe('who may', () => {
  test('set webhooks up: administrators of the app, with a second factor where the organization demands it', async () => {
    const { id } = await webhookOf({}, { token: org.tokens.admin })
    for (const role of ['member', 'approver', 'viewer'] as const) {
      expect((await create({}, { token: org.tokens[role] })).status).toBe(403)
      expect((await call('GET', '', undefined, org.tokens[role])).status).toBe(403)
    }
    await using database = openDatabase({ url: fixture.ownerUrl, poolSize: 1 })
    await database.db.execute(sql`update organizations set step_up_required = true where id = ${org.id}`)
    expect((await (await create({}, { token: org.tokens.admin })).json()).code).toBe('session-needed')
    expect((await create({})).status).toBe(201)
    // Containment never waits.
    expect((await call('DELETE', `/${id}`, undefined, org.tokens.admin)).status).toBe(204)
  })

  test('nobody reaches the webhooks of another app or organization', async () => {
    const webhook = await webhookOf({ events: ['job_created'] })
    await queueBuild(fixture, app)
    const [delivery] = await deliveriesOf(webhook)
    const other = await createTestApp(fixture, org)
    const rival = await fixture.createOrganization('Rival')
    const theirs = await createTestApp(fixture, rival)
    const stranger = (await fixture.signIn(rival.userIds.owner, { secondFactorAt: new Date() })).token
    for (const [appId, token] of [
      [other.id, owner],
      [theirs.id, stranger],
      [app.id, stranger],
    ] as const) {
      const one = `${pathOf(appId)}/${webhook.id}`
      for (const [method, path, body] of [
        ['GET', one, undefined],
        ['PATCH', one, { name: 'x' }],
        ['DELETE', one, undefined],
        ['GET', `${one}/deliveries`, undefined],
        ['POST', `${one}/secret-rotations`, {}],
        ['POST', `${one}/deliveries/${delivery?.id}/redeliveries`, undefined],
      ] as const) {
        const refused = await fixture.request(method, path, { token, ...(body ? { body } : {}) })
        expect([method, path, refused.status]).toEqual([method, path, 404])
      }
    }
  })

  test('an app has at most twenty', async () => {
    for (let made = 0; made < 20; made += 1) await webhookOf()
    expect((await (await create()).json()).code).toBe('webhook-limit')
  })
})
