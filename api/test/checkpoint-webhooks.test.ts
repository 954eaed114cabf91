import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { auditCheckpoints, checkpointWebhooks, type OpenDatabase, openDatabase, withOrg } from '@capstan/migrations'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { sendCheckpoints } from '../src/control/send-checkpoints.js'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'

let receiver: Server
let host: string
let received: { headers: IncomingHttpHeaders; body: string }[] = []
let status = 204
let fixture: Fixture
let broker: OpenDatabase
let control: OpenDatabase
let org: TestOrganization
let owner: string
let now: Date

beforeAll(async () => {
  receiver = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', (text: string) => (body += text))
    request.on('end', () => {
      received.push({ headers: request.headers, body })
      response.writeHead(status, status === 302 ? { location: 'http://169.254.169.254/' } : {}).end()
    })
  }).listen(0, '127.0.0.1')
  await once(receiver, 'listening')
  host = `127.0.0.1:${(receiver.address() as AddressInfo).port}`
  fixture = await createFixture({ overrides: { outboundPrivateHosts: [host] } })
  broker = openDatabase({ url: fixture.databaseUrl('broker'), poolSize: 1 })
  control = openDatabase({ url: fixture.databaseUrl('control'), poolSize: 2 })
})
beforeEach(async () => {
  ;[received, status] = [[], 204]
  // A pass sends what is due of every organization.
  await asOwner((database) => database.db.delete(checkpointWebhooks))
  org = await fixture.createOrganization()
  owner = (await fixture.signIn(org.userIds.owner, { secondFactorAt: new Date() })).token
})
afterAll(async () => {
  receiver.closeAllConnections()
  receiver.close()
  await broker[Symbol.asyncDispose]()
  await control[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})

async function asOwner(work: (database: OpenDatabase) => Promise<unknown>): Promise<void> {
  await using database = openDatabase({ url: fixture.ownerUrl, poolSize: 1 })
  await work(database)
}

type Webhook = {
  id: string
  secret: string
  deliveredSize: number
  failures: number
  lastFailure: string | null
  nextAttemptAt: string
}
const path = () => `/v1/organizations/${org.id}/checkpoint-webhooks`
const create = (url = `http://${host}/hook`, token = owner) => fixture.request('POST', path(), { token, body: { url } })
const webhookOf = async (url?: string): Promise<Webhook> => {
  const answer = await create(url)
  expect(answer.status).toBe(201)
  return answer.json<Webhook>()
}
const stateOf = async () => (await (await fixture.request('GET', path(), { token: owner })).json<Webhook[]>())[0]
/** As the broker notes them; `audit-checkpoints.test.ts` makes real ones. */
const addCheckpoint = (size: number) =>
  withOrg(broker.db, org.id, (tx) =>
    tx.insert(auditCheckpoints).values({ orgId: org.id, size, note: `note ${size}\n` }),
  )
const pass = (key: Uint8Array | null = fixture.deps.webhookKey) => {
  const { outbound, log } = fixture.deps
  now = new Date()
  return sendCheckpoints({ db: control.db, outbound, log, now: () => now }, key)
}
/** Makes what is due in the future due now, as time would. */
const untilDue = () =>
  withOrg(control.db, org.id, (tx) =>
    tx.update(checkpointWebhooks).set({ nextAttemptAt: sql`now() - interval '1 second'` }),
  )

describe('a webhook for checkpoints', () => {
  test('is sent each new one in order, once, signed over time and body', async () => {
    const { id, secret } = await webhookOf()
    expect(secret).toMatch(/^whsec_[\w-]{43}$/)
    await addCheckpoint(256)
    await addCheckpoint(512)
    expect([await pass(), await pass()]).toEqual([1, 1])
    expect(await pass()).toBe(0)
    expect(received.map(({ body }) => JSON.parse(body) as object)).toEqual([
      { event: 'audit.checkpoint', organizationId: org.id, size: 256, note: 'note 256\n' },
      { event: 'audit.checkpoint', organizationId: org.id, size: 512, note: 'note 512\n' },
    ])
    for (const { headers, body } of received) {
      const timestamp = String(headers['x-capstan-timestamp'])
      const expected = createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex')
      expect(headers['x-capstan-signature']).toBe(`v1=${expected}`)
      expect(Math.abs(Number(timestamp) - now.getTime() / 1000)).toBeLessThan(60)
    }
    expect(received[1]?.headers['x-capstan-delivery']).toBe(`${id}.512`)
    expect(await stateOf()).toMatchObject({ deliveredSize: 512, failures: 0, lastFailure: null })
  })

  test('that fails is tried again later, with longer waits, and holds up no other', async () => {
    await webhookOf()
    await addCheckpoint(256)
    status = 500
    expect(await pass()).toBe(0)
    const first = (await stateOf())!
    expect(first).toMatchObject({ deliveredSize: 0, failures: 1, lastFailure: 'It answered with status 500.' })
    expect(new Date(first.nextAttemptAt).getTime() - now.getTime()).toBe(30_000)
    expect([await pass(), received.length]).toEqual([0, 1])
    await untilDue()
    await pass()
    const second = (await stateOf())!
    expect([second.failures, new Date(second.nextAttemptAt).getTime() - now.getTime()]).toEqual([2, 60_000])
    status = 204
    await untilDue()
    expect(await pass()).toBe(1)
    expect(await stateOf()).toMatchObject({ deliveredSize: 256, failures: 0, lastFailure: null })
  })

  test.each([
    ['a redirect', 302, 'redirect-refused'],
    ['a refusal', 410, 'status 410'],
  ])('%s is a failure and is not followed', async (_what, answer, reason) => {
    await webhookOf()
    await addCheckpoint(256)
    status = answer
    await pass()
    expect((await stateOf())?.lastFailure).toContain(reason)
  })

  test('at a private address is refused when it is made, and not called when it is there all the same (D08)', async () => {
    for (const url of [
      'https://127.0.0.1/',
      'https://[::ffff:a9fe:a9fe]/',
      'http://hooks.example.com/',
      'file:///etc/passwd',
    ]) {
      const answer = await create(url)
      expect([answer.status, (await answer.json()).code]).toEqual([422, 'outbound-address-refused'])
    }
    await webhookOf()
    await using database = openDatabase({ url: fixture.ownerUrl, poolSize: 1 })
    await withOrg(database.db, org.id, (tx) =>
      tx.update(checkpointWebhooks).set({ url: 'https://169.254.169.254/latest' }),
    )
    await addCheckpoint(256)
    await pass()
    expect((await stateOf())?.lastFailure).toContain('url-refused')
    expect(received).toEqual([])
  })

  test('is made by an owner, shows its secret once, and is gone when it is deleted', async () => {
    const { id, secret } = await webhookOf()
    const admin = (await fixture.signIn(org.userIds.admin, { secondFactorAt: new Date() })).token
    expect((await create(undefined, admin)).status).toBe(403)
    const list = await fixture.request('GET', path(), { token: org.tokens.approver })
    expect(await list.text()).not.toContain(secret)
    expect((await fixture.request('DELETE', `${path()}/${id}`, { token: owner })).status).toBe(204)
    await addCheckpoint(256)
    expect([await pass(), received]).toEqual([0, []])
  })

  test('another key opens no secret, and without one nothing is sent', async () => {
    await webhookOf()
    await addCheckpoint(256)
    expect([await pass(null), received]).toEqual([0, []])
    expect(await pass(Buffer.alloc(32, 7))).toBe(0)
    expect(received).toEqual([])
  })
})
