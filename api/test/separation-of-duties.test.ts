import { createHash } from 'node:crypto'
import {
  changeRequests,
  changeRequestSteps,
  deployments,
  memberships,
  newId,
  openDatabase,
  type OpenDatabase,
  roleGrants,
  roles,
  withOrg,
} from '@capstan/migrations'
import { eq, sql } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { canonicalJson, type CanonicalValue } from '../src/audit/canonical-json.js'
import { hashContent } from '../src/change-requests/change.js'
import { scopesOf } from '../src/auth/permissions.js'
import { DutiesOrg, DutiesStage, HOUR, MINUTE } from './duties-fixture.js'
import { refusal } from './live-update-app.js'

let stage: DutiesStage
let acme: DutiesOrg

beforeAll(async () => {
  stage = await DutiesStage.open()
})
beforeEach(() => {
  DutiesStage.now = Date.now()
})
afterAll(() => stage[Symbol.asyncDispose]())

const settle = async () => {
  DutiesStage.now = Date.now()
  acme = await DutiesOrg.create(stage)
}
const submit = async (percentage = 1) => acme.filed(await acme.deploy(await acme.build(), percentage))
const statuses = (answers: { status: number }[]) => answers.map(({ status }) => status)
const tally = (all: number[]) =>
  Object.fromEntries([...new Set(all)].map((status) => [status, all.filter((s) => s === status).length]))

describe('S1: who asks does not approve', () => {
  beforeAll(settle)

  test('T1 not with the session that asked, nor any other of that person; somebody else does', async () => {
    const build = await acme.build()
    const session = await acme.session('admin')
    const id = await acme.filed(await acme.deploy(build, 1, session))
    for (const own of [session, await acme.session('admin')]) {
      await refusal(await acme.step(id, 'approve', own), 403, 'self-approval')
    }
    expect((await acme.see(id)).state).toBe('submitted')
    expect(await acme.approve(id)).toMatchObject({ state: 'approved', exception: false })
    expect((await acme.deploy(build, 1, session)).status).toBe(201)
    expect(await acme.see(id)).toMatchObject({ state: 'executed', steps: [{ step: 'approved' }, { step: 'executed' }] })
  })

  test('T2 not with an API token of who asked; with one of another approver', async () => {
    const id = await acme.filed(await acme.deploy(await acme.build(), 1, await acme.session('admin')))
    await refusal(await acme.step(id, 'approve', acme.org.tokens.admin), 403, 'self-approval')
    await acme.approve(id, acme.org.tokens.owner)
  })

  test('T3 not with a service token that this person made, rotated, or made through another; with one that is not', async () => {
    const scopes = ['change-requests:approve', 'tokens:write']
    const own = await acme.serviceToken('admin', scopes)
    const foreign = await acme.serviceToken('owner', scopes)
    const passed = await acme.serviceToken('owner', scopes)
    const rotation = await acme.call(
      'POST',
      `/tokens/${passed.id}/rotations`,
      { overlapHours: 1 },
      await acme.session('admin'),
    )
    const { token: rotated } = await rotation.json<{ token: string }>()
    const child = await acme.call('POST', '/tokens', { name: 'child', kind: 'service' }, own.token)
    const [id, other] = [await submit(), await submit()]
    expect(child.status).toBe(201)
    for (const token of [own.token, rotated]) {
      await refusal(await acme.step(id, 'approve', token), 403, 'self-approval')
    }
    expect((await acme.tokenRow((await child.json<{ id: string }>()).id))?.createdThrough).toBe(own.id)
    await acme.approve(other, foreign.token)
  })

  test('T3 a service token does not ask for one person and approve for another either', async () => {
    const ci = await acme.serviceToken('owner', ['deployments:write', 'change-requests:approve'])
    const id = await acme.filed(await acme.deploy(await acme.build(), 1, ci.token))
    for (const token of [acme.org.tokens.owner, await acme.session('owner'), ci.token]) {
      await refusal(await acme.step(id, 'approve', token), 403, 'self-approval')
    }
    await acme.approve(id, acme.org.tokens.admin)
  })

  test('only roles that may approve do, and the database names the same ones', async () => {
    const id = await submit()
    for (const role of ['member', 'viewer', 'billing'] as const) {
      await refusal(await acme.step(id, 'approve', acme.org.tokens[role]), 403, 'permission-missing')
    }
    const named = await withOrg(stage.fixture.deps.db, acme.org.id, (tx) =>
      tx.execute<{ role: string }>(
        sql`select role from unnest(${`{${roles.join(',')}}`}::text[]) role where approves(role)`,
      ),
    )
    expect(named.map(({ role }) => role).sort()).toEqual(
      roles.filter((role) => scopesOf(role).has('change-requests:approve')).sort(),
    )
  })

  test('a request of another organization is not there', async () => {
    const id = await submit()
    const rival = await stage.fixture.createOrganization('Rival')
    const path = `/v1/organizations/${rival.id}/change-requests/${id}`
    for (const [method, verb] of [
      ['GET', ''],
      ['POST', '/approve'],
      ['POST', '/attest'],
      ['POST', '/cancel'],
    ] as const) {
      const body = method === 'POST' ? { body: {} } : {}
      const answer = await stage.fixture.request(method, `${path}${verb}`, { token: rival.tokens.owner, ...body })
      expect([verb, answer.status]).toEqual([verb, 404])
    }
  })

  test('who has a role in one app sees and takes back what was asked for there, and nothing else', async () => {
    const rival = await stage.fixture.createOrganization('Rival')
    const [orgId, appId, userId] = [acme.org.id, acme.app.appId, rival.userIds.member]
    await withOrg(stage.fixture.deps.db, orgId, async (tx) => {
      await tx.insert(memberships).values({ orgId, userId, role: 'none' })
      await tx.insert(roleGrants).values({ id: newId(), orgId, userId, role: 'member', appId })
    })
    const { token } = await stage.fixture.signIn(userId)
    const id = await acme.filed(await acme.deploy(await acme.build(), 1, token))
    const foreign = await submit()
    const elsewhere = await acme.filed(await acme.call('PATCH', '', { artifactRetentionDays: 9 }))
    const listed = await (await acme.call('GET', '/change-requests', undefined, token)).json<{ id: string }[]>()
    expect(listed.map((request) => request.id)).toEqual(expect.arrayContaining([id, foreign]))
    expect(listed.map((request) => request.id)).not.toContain(elsewhere)
    expect((await acme.call('GET', `/change-requests/${id}`, undefined, token)).status).toBe(200)
    await refusal(await acme.call('GET', `/change-requests/${elsewhere}`, undefined, token), 404, 'not-found')
    await refusal(await acme.step(id, 'approve', token), 403, 'permission-missing')
    await refusal(await acme.step(elsewhere, 'cancel', token), 404, 'not-found')
    await refusal(await acme.step(foreign, 'cancel', token), 403, 'permission-missing')
    expect((await acme.step(id, 'cancel', token)).status).toBe(200)
  })

  test('T4 not after leaving and coming back; somebody else does', async () => {
    const id = await submit()
    await acme.leave('admin')
    await acme.join('admin', 'approver')
    await refusal(await acme.step(id, 'approve', acme.org.tokens.admin), 403, 'self-approval')
    await acme.approve(id)
  })
})

describe('an approval', () => {
  beforeAll(settle)

  test('T5 is for exactly what was shown: an edited one is stale, the unedited one goes through', async () => {
    const build = await acme.build()
    const id = await acme.filed(await acme.deploy(build, 0.1))
    await acme.approve(id)
    const edited = await acme.filed(await acme.deploy(build, 0.5), 'approval-stale')
    expect(edited).not.toBe(id)
    expect((await acme.see(id)).state).toBe('voided')
    expect((await acme.see(edited)).contentHash).not.toBe((await acme.see(id)).contentHash)
    await acme.approve(edited)
    expect((await acme.deploy(build, 0.5)).status).toBe(201)
  })

  test('is asked for once, however often the same is tried, and each person has a request of its own', async () => {
    const before = (await acme.events('change_request.submitted')).length
    const build = await acme.build()
    const ids = await Promise.all(Array.from({ length: 10 }, async () => acme.filed(await acme.deploy(build))))
    expect(new Set(ids).size).toBe(1)
    const other = await acme.filed(await acme.deploy(build, 1, acme.org.tokens.member))
    expect(other).not.toBe(ids[0])
    expect(await acme.events('change_request.submitted')).toHaveLength(before + 2)
    // The content is the same, so either approval is one for it.
    await acme.approve(other)
    expect((await acme.deploy(build)).status).toBe(201)
    expect((await acme.see(other)).state).toBe('executed')
  })

  test('T6 of 100 at once is given once, and used once', async () => {
    const build = await acme.build()
    const id = await acme.filed(await acme.deploy(build))
    const hundred = Array.from({ length: 100 })
    const given = await Promise.all(hundred.map(() => acme.step(id, 'approve', acme.org.tokens.approver)))
    expect(tally(statuses(given))).toEqual({ 200: 1, 409: 99 })
    const used = await Promise.all(hundred.map(() => acme.deploy(build)))
    const counted = tally(statuses(used))
    expect(counted[201]).toBe(1)
    expect((counted[409] ?? 0) + (counted[429] ?? 0)).toBe(99)
    const steps = (await acme.see(id)).steps.map(({ step }) => step)
    expect(steps).toEqual(['approved', 'executed'])
  }, 60_000)

  test('T11 counts no more once its approver may not approve; with the role it does', async () => {
    const build = await acme.build()
    const id = await acme.filed(await acme.deploy(build))
    await acme.approve(id)
    await acme.setRole('approver', 'viewer')
    const anew = await acme.filed(await acme.deploy(build), 'approval-lapsed')
    expect((await acme.see(id)).state).toBe('voided')
    await acme.setRole('approver', 'approver')
    await acme.approve(anew)
    expect((await acme.deploy(build)).status).toBe(201)
  })

  test('T11 a suspended approver gives none, and what was given counts no more; with the role back it does', async () => {
    const build = await acme.build()
    const id = await acme.filed(await acme.deploy(build))
    await acme.suspend('approver')
    await refusal(await acme.step(id, 'approve', acme.org.tokens.approver), 403, 'permission-missing')
    await acme.suspend('approver', null)
    await acme.approve(id)
    await acme.suspend('approver')
    const anew = await acme.filed(await acme.deploy(build), 'approval-lapsed')
    await acme.suspend('approver', null)
    await acme.approve(anew)
    expect((await acme.deploy(build)).status).toBe(201)
  })

  test('expires after seven days', async () => {
    const build = await acme.build()
    const id = await acme.filed(await acme.deploy(build))
    await acme.approve(id)
    DutiesStage.now += 7 * 24 * HOUR + MINUTE
    expect(await acme.filed(await acme.deploy(build), 'approval-lapsed')).not.toBe(id)
  })

  test('is refused with a reason, or taken back by who asked, and then counts for nothing', async () => {
    const build = await acme.build()
    const id = await acme.filed(await acme.deploy(build))
    expect((await acme.step(id, 'cancel', acme.org.tokens.owner)).status).toBe(403)
    await acme.approve(id)
    expect((await acme.step(id, 'reject', acme.org.tokens.owner, { reason: 'Not today.' })).status).toBe(200)
    const second = await acme.filed(await acme.deploy(build))
    expect(second).not.toBe(id)
    expect((await acme.step(second, 'cancel', acme.org.tokens.admin)).status).toBe(200)
    await refusal(await acme.step(second, 'approve', acme.org.tokens.approver), 409, 'change-request-refused')
    expect((await acme.list('?state=canceled')).map((request) => request.id)).toContain(second)
  })

  test('stays when the change fails after all', async () => {
    const build = await acme.build()
    const id = await acme.filed(await acme.deploy(build))
    await acme.approve(id)
    const owner = openDatabase({ url: stage.fixture.ownerUrl, poolSize: 1 })
    await owner.sql`alter table deployments add constraint broken check (app_build_id <> ${owner.sql.unsafe(`'${build}'`)}) not valid`
    expect((await acme.deploy(build)).status).toBe(500)
    expect((await acme.see(id)).state).toBe('approved')
    await owner.sql`alter table deployments drop constraint broken`
    await owner[Symbol.asyncDispose]()
    expect((await acme.deploy(build)).status).toBe(201)
  })
})

describe('T7: the database', () => {
  let api: OpenDatabase
  beforeAll(async () => {
    await settle()
    api = openDatabase({ url: stage.fixture.databaseUrl('api'), poolSize: 2 })
  })
  afterAll(() => api[Symbol.asyncDispose]())

  const write = (work: Parameters<typeof withOrg<unknown>>[2]) => withOrg(api.db, acme.org.id, work)
  const refusedBy = (message: string | RegExp) => ({
    cause: { message: typeof message === 'string' ? expect.stringContaining(message) : expect.stringMatching(message) },
  })
  const step = (
    id: string,
    by: keyof typeof acme.org.userIds,
    name: 'approved' | 'attested' | 'executed',
    more = {},
  ) => ({
    id: newId(),
    orgId: acme.org.id,
    changeRequestId: id,
    step: name,
    actorType: 'user' as const,
    actorId: acme.org.userIds[by],
    via: 'session',
    viaId: newId(),
    // What the program claims about the people behind it is not asked.
    roots: [acme.org.userIds.approver],
    ...more,
  })
  const approveAs = (id: string, by: keyof typeof acme.org.userIds, more = {}, exception = false) =>
    write(async (tx) => {
      const set = { state: 'approved' as const, exception, approvedAt: new Date() }
      await tx.update(changeRequests).set(set).where(eq(changeRequests.id, id))
      await tx.insert(changeRequestSteps).values(step(id, by, 'approved', more))
    })

  test('refuses a self-approval that is written past the program, and takes one by somebody else', async () => {
    const id = await submit()
    await expect(approveAs(id, 'admin')).rejects.toMatchObject(refusedBy('does not approve it'))
    await expect(approveAs(id, 'admin', { exception: true, reason: 'because I say so' }, true)).rejects.toMatchObject(
      refusedBy('exception for a sole operator does not apply'),
    )
    await expect(approveAs(id, 'viewer')).rejects.toMatchObject(refusedBy('may approve'))
    const system = { actorType: 'system', actorId: 'control', via: null, viaId: null }
    await expect(approveAs(id, 'approver', system)).rejects.toMatchObject(refusedBy('system'))
    const unknown = { via: 'token', viaId: newId() }
    await expect(approveAs(id, 'approver', unknown)).rejects.toMatchObject(refusedBy('nobody is known'))
    expect((await acme.see(id)).state).toBe('submitted')
    await approveAs(id, 'approver')
    expect((await acme.see(id)).state).toBe('approved')
  })

  test('refuses a state without the steps that lead to it, a step over another, and another content', async () => {
    const id = await submit()
    const set = (values: Partial<typeof changeRequests.$inferInsert>) =>
      write((tx) => tx.update(changeRequests).set(values).where(eq(changeRequests.id, id)))
    await expect(set({ state: 'approved' })).rejects.toMatchObject({
      message: expect.stringContaining('must have been approved'),
    })
    await expect(set({ state: 'executed' })).rejects.toMatchObject(refusedBy('cannot become'))
    await expect(set({ content: '{}' })).rejects.toMatchObject(refusedBy(/never changes|check constraint/))
    await expect(set({ submitterRoots: [acme.org.userIds.viewer] })).rejects.toMatchObject(refusedBy('never changes'))
    await expect(write((tx) => tx.delete(changeRequests).where(eq(changeRequests.id, id)))).rejects.toMatchObject(
      refusedBy('permission denied'),
    )
    const [row] = (await write((tx) => tx.select().from(changeRequests).where(eq(changeRequests.id, id)))) as [
      typeof changeRequests.$inferSelect,
    ]
    const forged = { ...row, id: newId(), state: 'approved' as const, content: '{"forged":true}' }
    await expect(write((tx) => tx.insert(changeRequests).values(forged))).rejects.toMatchObject(
      refusedBy('begins as submitted'),
    )
    await expect(
      write((tx) => tx.insert(changeRequests).values({ ...forged, state: 'submitted' })),
    ).rejects.toMatchObject(refusedBy('check constraint'))
  })

  test('refuses that an executor attests, and that a step is rewritten', async () => {
    const id = await acme.carryOut(await deployAct())
    const attest = (by: keyof typeof acme.org.userIds) =>
      write(async (tx) => {
        await tx.update(changeRequests).set({ state: 'attested' }).where(eq(changeRequests.id, id))
        await tx.insert(changeRequestSteps).values(step(id, by, 'attested'))
      })
    await expect(attest('admin')).rejects.toMatchObject(refusedBy('who executed a change'))
    await expect(
      write((tx) => tx.update(changeRequestSteps).set({ roots: [] }).where(eq(changeRequestSteps.changeRequestId, id))),
    ).rejects.toMatchObject(refusedBy('permission denied'))
    await attest('approver')
    expect((await acme.see(id)).state).toBe('attested')
  })

  test('S5: refuses that a role is approved by who gets it', async () => {
    const grant = async () => {
      const content = JSON.stringify({ grant: newId() })
      const id = newId()
      await write((tx) =>
        tx.insert(changeRequests).values({
          id,
          orgId: acme.org.id,
          action: 'role.grant',
          subject: { user: acme.org.userIds.approver },
          content,
          contentHash: hashContent(content),
          submittedBy: acme.org.userIds.owner,
          submittedVia: 'session',
          submitterRoots: [],
        }),
      )
      return id
    }
    const own = await grant()
    await expect(approveAs(own, 'approver')).rejects.toMatchObject(refusedBy('nobody approves a grant to themselves'))
    await refusal(await acme.step(own, 'approve', acme.org.tokens.approver), 403, 'approval-benefits-you')
    await approveAs(own, 'admin')
  })
})

const deployAct = async () => {
  const build = await acme.build()
  return () => acme.deploy(build)
}

describe('S2 and S3: who made a change neither attests nor reconciles it', () => {
  beforeAll(settle)

  test('T8 and somebody else does both; wrong order is refused', async () => {
    const id = await acme.carryOut(await deployAct())
    for (const own of [acme.org.tokens.admin, await acme.session('admin')]) {
      await refusal(await acme.step(id, 'attest', own), 403, 'self-attestation')
      await refusal(await acme.step(id, 'reconcile', own), 403, 'self-reconciliation')
    }
    await refusal(await acme.step(id, 'reconcile', acme.org.tokens.approver), 409, 'change-request-refused')
    expect((await acme.step(id, 'attest', acme.org.tokens.approver, { note: 'Looked at it.' })).status).toBe(200)
    await refusal(await acme.step(id, 'attest', acme.org.tokens.owner), 409, 'change-request-refused')
    await refusal(await acme.step(id, 'reconcile', acme.org.tokens.admin), 403, 'self-reconciliation')
    const reconciled = await acme.step(id, 'reconcile', acme.org.tokens.approver)
    expect(await reconciled.json()).toMatchObject({ state: 'reconciled', verdict: 'match' })
    const event = (await acme.events('change_request.reconciled')).find(({ target }) => target.changeRequest === id)
    expect(event?.data).toMatchObject({ verdict: 'match', evidenceHash: expect.stringMatching(/^[\da-f]{64}$/) })
  })

  test('T8 holds with the exception for a sole operator on; then the control process does it', async () => {
    const build = await acme.build()
    await acme.becomeSolo()
    const owner = await acme.session('owner')
    const id = await acme.filed(await acme.deploy(build, 1, owner))
    DutiesStage.now += 16 * MINUTE
    await acme.approve(id, await acme.session('owner'), { reason: 'Nobody else is here.' })
    expect((await acme.deploy(build, 1, owner)).status).toBe(201)
    await refusal(await acme.step(id, 'attest', owner), 403, 'self-attestation')
    await refusal(await acme.step(id, 'reconcile', owner), 403, 'self-reconciliation')
    await acme.watch()
    const request = await acme.see(id)
    expect(request).toMatchObject({ state: 'reconciled', verdict: 'match', exception: true })
    expect(request.steps.slice(-2)).toMatchObject([
      { step: 'attested', actorType: 'system', actorId: 'control', roots: [] },
      { step: 'reconciled', actorType: 'system', actorId: 'control', roots: [] },
    ])
  })
})

describe('the exception for a sole operator', () => {
  beforeEach(settle)

  const allow = async (as: 'owner' | 'admin' = 'owner', token?: string) =>
    acme.call(
      'PUT',
      '/separation-of-duties/sole-operator',
      { reason: 'I am alone here.', days: 90 },
      token ?? (await acme.session(as)),
    )

  test('T9 needs that one person alone may approve, and ends in the transaction that makes a second', async () => {
    await refusal(await allow(), 409, 'exception-not-alone')
    await acme.leave('approver')
    await refusal(await allow(), 409, 'exception-not-alone')
    await acme.leave('admin')
    await refusal(await allow('owner', acme.org.tokens.owner), 403, 'session-needed')
    const long = { reason: 'I am alone here.', days: 91 }
    await refusal(
      await acme.call('PUT', '/separation-of-duties/sole-operator', long, await acme.session('owner')),
      422,
      'request-invalid',
    )
    expect(await (await allow()).json()).toMatchObject({ soleOperator: { reason: 'I am alone here.' }, approvers: 1 })
    expect(await acme.events('organization.sole_operator_began')).toHaveLength(1)
    await acme.join('admin', 'viewer')
    expect((await acme.duties()).soleOperator).not.toBeNull()
    await acme.setRole('admin', 'approver')
    expect(await acme.duties()).toMatchObject({ soleOperator: null, approvers: 2 })
    const [ended] = await acme.events('organization.sole_operator_ended')
    expect(ended).toMatchObject({ actor: { type: 'system' }, target: { user: acme.org.userIds.admin } })
  })

  test('T9 counts no suspended approver, and ends when one is given the role back', async () => {
    await acme.leave('admin')
    await refusal(await allow(), 409, 'exception-not-alone')
    await acme.suspend('approver')
    expect(await (await allow()).json()).toMatchObject({ approvers: 1, soleOperator: { reason: 'I am alone here.' } })
    await acme.suspend('approver', null)
    expect(await acme.duties()).toMatchObject({ soleOperator: null, approvers: 2 })
  })

  test('T9 its end in the log belongs to the same chain', async () => {
    await acme.becomeSolo()
    await acme.join('approver')
    const lines = await (await acme.call('GET', '/audit-events/export')).text()
    let prev = '0'.repeat(64)
    for (const line of lines.split('\n').filter(Boolean)) {
      const { event, hash } = JSON.parse(line) as { event: string; hash: string }
      expect(JSON.parse(event)).toMatchObject({ prev })
      expect(createHash('sha256').update('audit-event-v1\0').update(event).digest('hex')).toBe(hash)
      expect(canonicalJson(JSON.parse(event) as CanonicalValue)).toBe(event)
      prev = hash
    }
  })

  test('T9 nobody who changes it at the same moment keeps it with two approvers', async () => {
    await acme.leave('admin', 'approver')
    const session = await acme.session('owner')
    for (let round = 0; round < 5; round += 1) {
      await Promise.all([allow('owner', session), acme.join('admin', 'approver')])
      expect(await acme.duties()).toMatchObject({ soleOperator: null, approvers: 2 })
      await acme.leave('admin')
    }
  })

  test('T12 waits for 15 minutes and a reason, and is marked wherever it is read', async () => {
    const build = await acme.build()
    await acme.becomeSolo()
    const owner = acme.org.tokens.owner
    const id = await acme.filed(await acme.deploy(build, 1, owner))
    const body = { reason: 'Nobody else is here.' }
    await refusal(await acme.step(id, 'approve', await acme.session('owner'), body), 425, 'approval-too-early')
    DutiesStage.now += 15 * MINUTE
    await refusal(await acme.step(id, 'approve', owner, body), 403, 'session-needed')
    await refusal(await acme.step(id, 'approve', await acme.session('owner')), 422, 'request-invalid')
    expect(await acme.approve(id, await acme.session('owner'), body)).toMatchObject({ exception: true })
    expect((await acme.deploy(build, 1, owner)).status).toBe(201)
    const [approved] = await acme.events('change_request.approved')
    expect(approved?.data).toMatchObject({ exception: true, reason: 'Nobody else is here.' })
    const exported = await (await acme.call('GET', '/audit-events/export')).text()
    expect(exported).toContain('\\"exception\\":true')
    expect((await acme.list()).find((request) => request.id === id)).toMatchObject({
      exception: true,
      state: 'executed',
    })
  })

  test('lets nobody use an approval that was given under it once there is a second approver', async () => {
    const build = await acme.build()
    await acme.becomeSolo()
    const id = await acme.filed(await acme.deploy(build, 1, acme.org.tokens.owner))
    DutiesStage.now += 15 * MINUTE
    await acme.approve(id, await acme.session('owner'), { reason: 'Nobody else is here.' })
    await acme.join('approver')
    const anew = await acme.filed(await acme.deploy(build, 1, acme.org.tokens.owner), 'approval-lapsed')
    await refusal(await acme.step(anew, 'approve', await acme.session('owner')), 403, 'self-approval')
    await acme.approve(anew)
  })

  test('expires, and is ended by hand', async () => {
    const build = await acme.build()
    await acme.becomeSolo()
    const id = await acme.filed(await acme.deploy(build, 1, acme.org.tokens.owner))
    DutiesStage.now += 31 * 24 * HOUR
    const reason = { reason: 'Nobody else is here.' }
    await refusal(await acme.step(id, 'approve', await acme.session('owner'), reason), 403, 'self-approval')
    const ended = await acme.call(
      'DELETE',
      '/separation-of-duties/sole-operator',
      undefined,
      await acme.session('owner'),
    )
    expect(await ended.json()).toMatchObject({ soleOperator: null })
  })
})

describe('a reading', () => {
  beforeAll(settle)

  const widen = async (percentage: number) => {
    const [current] = await acme.app.must<{ id: string }[]>('GET', '/deployments')
    return acme.app.call('PATCH', `/deployments/${current!.id}`, { rolloutPercentage: percentage })
  }
  const tamper = (percentage: number) =>
    withOrg(stage.fixture.deps.db, acme.org.id, async (tx) => {
      const [current] = await tx
        .select()
        .from(deployments)
        .orderBy(sql`id desc`)
        .limit(1)
      await tx.update(deployments).set({ rolloutPercentage: percentage }).where(eq(deployments.id, current!.id))
    })

  test('T10 finds 50 % where 10 % was approved, and freezes rollouts until that is put right', async () => {
    const build = await acme.build()
    const id = await acme.carryOut(() => acme.deploy(build, 0.1))
    await acme.watch()
    expect((await acme.see(id)).verdict).toBe('match')
    await tamper(0.5)
    DutiesStage.now += 24 * HOUR + MINUTE
    await acme.watch()
    expect(await acme.see(id)).toMatchObject({ state: 'executed', verdict: 'mismatch' })
    await refusal(await widen(0.6), 423, 'rollouts-frozen')
    await refusal(await acme.deploy(await acme.build()), 423, 'rollouts-frozen')
    expect((await acme.list('?state=submitted')).length).toBe(0)
    // Narrowing is always possible; the freeze ends once somebody else has seen it.
    expect((await widen(0.1)).status).toBe(200)
    await refusal(await widen(0.6), 423, 'rollouts-frozen')
    const [narrowed] = await acme.list('?state=executed')
    expect(narrowed).toMatchObject({ action: 'deployment.narrow', retroactive: true })
    await acme.approve(narrowed!.id)
    expect((await acme.see(id)).state).toBe('closed')
    await acme.carryOut(() => widen(0.6))
  })

  test('T10 a mismatch that is gone by itself freezes no more', async () => {
    const build = await acme.build()
    const id = await acme.carryOut(() => acme.deploy(build, 0.1))
    await tamper(0.5)
    await acme.watch()
    await refusal(await widen(0.6), 423, 'rollouts-frozen')
    await tamper(0.1)
    DutiesStage.now += 11 * MINUTE
    await acme.watch()
    expect((await acme.see(id)).verdict).toBe('match')
    await acme.filed(await widen(0.6))
  })

  test('goes on for 14 days, then closes what matched', async () => {
    const id = await acme.carryOut(await deployAct())
    await acme.step(id, 'attest', acme.org.tokens.approver)
    await acme.step(id, 'reconcile', acme.org.tokens.approver)
    DutiesStage.now += 13 * 24 * HOUR
    await acme.watch()
    expect((await acme.see(id)).state).toBe('reconciled')
    DutiesStage.now += 25 * HOUR
    await acme.watch()
    expect(await acme.see(id)).toMatchObject({ state: 'closed', verdict: 'match' })
  })

  test('follows a later change and not the one that it replaced', async () => {
    const first = await acme.carryOut(await deployAct())
    const second = await acme.carryOut(await deployAct())
    await acme.watch()
    expect(await acme.see(first)).toMatchObject({ state: 'closed', supersededAt: expect.any(String) })
    expect(await acme.see(second)).toMatchObject({ state: 'executed', verdict: 'match' })
  })
})

describe('what makes an app safer', () => {
  beforeAll(settle)

  test('going back is done by one person at once, and approved afterwards by another', async () => {
    const [before] = await acme.app.must<{ appBuildId: string }[]>('GET', '/deployments')
    const id = await acme.carryOut(await deployAct())
    expect((await acme.deploy(before!.appBuildId, 1)).status).toBe(201)
    const [back] = await acme.list()
    expect(back).toMatchObject({
      action: 'deployment.rollback',
      retroactive: true,
      state: 'executed',
      approvedAt: null,
    })
    await acme.watch()
    expect((await acme.see(back!.id)).verdict).toBe('match')
    await refusal(await acme.step(back!.id, 'approve', acme.org.tokens.admin), 403, 'self-approval')
    await refusal(await acme.step(back!.id, 'attest', acme.org.tokens.approver), 409, 'change-request-refused')
    await acme.approve(back!.id)
    expect((await acme.see(id)).state).toBe('closed')
    expect((await acme.step(back!.id, 'attest', acme.org.tokens.approver)).status).toBe(200)
    DutiesStage.now += 25 * HOUR
    await acme.watch()
    expect(await acme.events('change_request.post_approval_overdue')).toEqual([])
  })

  test('going back reaches no more devices than it did before', async () => {
    const canary = await acme.build()
    await acme.carryOut(() => acme.deploy(canary, 0.01))
    await acme.carryOut(await deployAct())
    await acme.filed(await acme.deploy(canary, 1))
    expect((await acme.deploy(canary, 0.01)).status).toBe(201)
  })

  test('is overdue after a day, once, and can be refused afterwards', async () => {
    const pause = await acme.app.call('POST', `/channels/${acme.channelId}/pause`, {})
    expect(pause.status).toBe(200)
    const [paused] = await acme.list()
    expect(paused).toMatchObject({ action: 'channel.pause', retroactive: true, overdueAt: null })
    DutiesStage.now += 24 * HOUR + MINUTE
    await acme.watch()
    await acme.watch()
    const overdue = await acme.events('change_request.post_approval_overdue')
    expect(overdue.filter(({ target }) => target.changeRequest === paused!.id)).toHaveLength(1)
    expect((await acme.see(paused!.id)).overdueAt).not.toBeNull()
    await refusal(await acme.step(paused!.id, 'reject', acme.org.tokens.admin, { reason: 'x' }), 403, 'self-approval')
    const rejected = await acme.step(paused!.id, 'reject', acme.org.tokens.approver, { reason: 'There was no need.' })
    expect(await rejected.json()).toMatchObject({ state: 'rejected' })
  })

  test('in the exception for a sole operator waits for no quarter of an hour', async () => {
    await acme.becomeSolo()
    const owner = await acme.session('owner')
    await acme.app.call('POST', `/channels/${acme.channelId}/resume`, {}, owner)
    await acme.app.call('POST', `/channels/${acme.channelId}/pause`, {}, owner)
    const [paused] = await acme.list()
    expect(await acme.approve(paused!.id, owner, { reason: 'It crashed at start.' })).toMatchObject({ exception: true })
  })
})
