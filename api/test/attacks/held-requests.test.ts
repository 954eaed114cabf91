import { setTimeout as sleep } from 'node:timers/promises'
import { auditEvents, channels, memberships, newId, openDatabase, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { describe, expect, test } from 'vitest'
import { createTestApp, queueBuild } from '../build-fixture.js'
import type { Answer } from '../fixture.js'
import { refusal } from '../live-update-app.js'
import { memberStage, type Row } from '../member-calls.js'

const stage = memberStage()

const service = { name: 'ci', kind: 'service', scopes: ['organizations:read'] }

/** A request whose body comes when `send` is called. */
function hold(method: string, path: string, token: string, body: object) {
  let send = () => {}
  const stream = new ReadableStream<Uint8Array>({
    start(controller) {
      send = () => {
        controller.enqueue(Buffer.from(JSON.stringify(body)))
        controller.close()
      }
    },
  })
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  const init = { method, headers, body: stream, duplex: 'half' } as RequestInit
  const from = { incoming: { socket: { remoteAddress: '192.0.2.1' } } }
  const answer = Promise.resolve(stage.fixture.app.request(`${stage.calls.path}${path}`, init, from)) as Promise<Answer>
  return { answer, send }
}

describe('a request whose body is held back', () => {
  test('is not finished by a removed member, with a revoked token, or after the second factor has become old', async () => {
    const admin = await stage.calls.fresh(stage.org.userIds.admin)
    const { id, token } = await stage.calls.must<Row & { token: string }>('POST', '/tokens', {
      ...service,
      scopes: ['tokens:write', 'organizations:read'],
    })
    const removed = hold('POST', '/tokens', admin, service)
    const revoked = hold('POST', '/tokens', token, service)
    const kept = hold('POST', '/tokens', stage.calls.owner, service)
    const old = hold('POST', '/teams', stage.calls.owner, { name: 'Mobile' })
    const prompt = hold('POST', '/teams', stage.calls.owner, { name: 'Web' })
    prompt.send()
    expect((await prompt.answer).status).toBe(201)
    await sleep(1_200)
    await stage.calls.must('DELETE', `/members/${stage.org.userIds.admin}`)
    await stage.calls.must('DELETE', `/tokens/${id}`)
    stage.now += 6 * 60_000
    for (const { send } of [removed, revoked, kept, old]) send()
    await refusal(await removed.answer, 404, 'not-found')
    await refusal(await revoked.answer, 401, 'token-invalid')
    await refusal(await old.answer, 403, 'second-factor-stale')
    expect((await kept.answer).status).toBe(201)
  })

  test('a token that is made while its maker is removed is not left behind', async () => {
    await using owner = openDatabase({ url: stage.fixture.ownerUrl, poolSize: 1 })
    const waiting = async () => {
      const rows = await owner.sql`select 1 from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'`
      return rows.length
    }
    const make = (token: string) => stage.calls.call('POST', '/tokens', service, token)
    const admin = await stage.calls.fresh(stage.org.userIds.admin)
    expect((await make(admin)).status).toBe(201)
    const late = await withOrg(stage.fixture.deps.db, stage.org.id, async (tx) => {
      await tx.delete(memberships).where(eq(memberships.userId, stage.org.userIds.admin))
      const answer = make(admin)
      await expect.poll(waiting).toBe(1)
      return { answer }
    })
    await refusal(await late.answer, 409, 'request-conflict')
  })
})

describe('a long answer', () => {
  const ROWS = 1_000
  const PAGES = 12
  const addEvents = () =>
    withOrg(stage.fixture.deps.db, stage.org.id, async (tx) => {
      for (let page = 0; page < PAGES; page += 1) {
        const rows = Array.from({ length: ROWS }, (_, index) => ({
          orgId: stage.org.id,
          seq: 1_000_000 + page * ROWS + index,
          event: '{}',
          hash: '0'.repeat(64),
          action: 'test.made',
          createdAt: new Date(),
        }))
        await tx.insert(auditEvents).values(rows)
      }
    })
  const exportAs = async (token: string) => {
    const answer = await stage.fixture.request('GET', `${stage.calls.path}/audit-events/export`, { token })
    expect(answer.status).toBe(200)
    const reader = (answer.body as ReadableStream<Uint8Array>).getReader()
    await reader.read()
    return async () => {
      let lines = 0
      for (;;) {
        const { done, value } = await reader.read()
        if (done) return lines
        lines += Buffer.from(value).toString('latin1').split('\n').length - 1
      }
    }
  }

  test('of the audit log breaks off for whoever was removed meanwhile, and goes on for others', async () => {
    await addEvents()
    const [removed, kept] = [await exportAs(stage.org.tokens.approver), await exportAs(stage.org.tokens.admin)]
    await stage.calls.must('DELETE', `/members/${stage.org.userIds.approver}`)
    stage.now += 4_000
    await expect(removed()).rejects.toThrow()
    expect(await kept()).toBeGreaterThan((PAGES - 2) * ROWS)
  })

  test('of a log ends for whoever may still read the app, but not its builds', async () => {
    const app = await createTestApp(stage.fixture, stage.org)
    const build = await queueBuild(stage.fixture, app)
    const channelId = newId()
    await withOrg(stage.fixture.deps.db, stage.org.id, (tx) =>
      tx.insert(channels).values({ id: channelId, orgId: stage.org.id, appId: app.id, name: 'beta' }),
    )
    const grant = (body: object) => stage.calls.must('POST', '/grants', { role: 'viewer', appId: app.id, ...body })
    const ofApp = await grant({ userId: stage.org.userIds.none })
    await grant({ userId: stage.org.userIds.none, appChannelId: channelId })
    const stop = new AbortController()
    const open = async (token: string) => {
      const answer = await stage.fixture.request('GET', `/v1/jobs/${build.jobId}/logs/stream`, { token })
      expect(answer.status).toBe(200)
      const reader = (answer.body as ReadableStream<Uint8Array>).getReader()
      stop.signal.addEventListener('abort', () => void reader.cancel())
      const ended = (async () => {
        while (!(await reader.read()).done);
        return 'ended'
      })()
      return { ended }
    }
    const [narrowed, kept] = [await open(stage.org.tokens.none), await open(stage.org.tokens.viewer)]
    await stage.calls.must('DELETE', `/grants/${ofApp.id}`)
    expect((await stage.fixture.request('GET', `/v1/apps/${app.id}`, { token: stage.org.tokens.none })).status).toBe(
      200,
    )
    expect(await narrowed.ended).toBe('ended')
    expect(await Promise.race([kept.ended, sleep(100, 'open')])).toBe('open')
    stop.abort()
  })
})
