import { deployments, withOrg } from '@capstan/migrations'
import { eq, sql } from 'drizzle-orm'
import { beforeAll, describe, expect, test } from 'vitest'
import { acme, DutiesStage, HOUR, MINUTE, settle, stage, useDuties } from './duties-fixture.js'
import { refusal } from './live-update-app.js'
import { createOperator } from './operator-calls.js'

useDuties()

/** Incidents that began with this request, as operators see them; the organization's log names the request. */
async function incidentsOf(changeRequest: string): Promise<object[]> {
  const affected = await acme.events('incident.affected')
  const ids = affected
    .filter(({ target }) => target.changeRequest === changeRequest)
    .map(({ target }) => target.incident)
  const { token } = await createOperator(stage.fixture)
  return Promise.all(
    ids.map(async (id) => {
      const answer = await stage.fixture.request('GET', `/operator/v1/incidents/${id}`, { token })
      const incident = await answer.json<{ organizations: { organizationId: string }[] }>()
      expect(incident).toMatchObject({ createdBy: null, classes: ['other'], state: 'detect' })
      expect(incident.organizations.map(({ organizationId }) => organizationId)).toEqual([acme.org.id])
      return incident
    }),
  )
}

describe('S2 and S3: who made a change neither attests nor reconciles it', () => {
  beforeAll(settle)

  test('T8 and somebody else does both; wrong order is refused', async () => {
    const id = await acme.carryOut(await acme.deployAct())
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
    expect(await incidentsOf(id)).toEqual([])
    await tamper(0.5)
    DutiesStage.now += 24 * HOUR + MINUTE
    await acme.watch()
    expect(await acme.see(id)).toMatchObject({ state: 'executed', verdict: 'mismatch' })
    DutiesStage.now += 11 * MINUTE
    await acme.watch()
    expect(await incidentsOf(id)).toMatchObject([{ title: 'What there is is not what was approved' }])
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
    const id = await acme.carryOut(await acme.deployAct())
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
    const first = await acme.carryOut(await acme.deployAct())
    const second = await acme.carryOut(await acme.deployAct())
    await acme.watch()
    expect(await acme.see(first)).toMatchObject({ state: 'closed', supersededAt: expect.any(String) })
    expect(await acme.see(second)).toMatchObject({ state: 'executed', verdict: 'match' })
  })
})

describe('what makes an app safer', () => {
  beforeAll(settle)

  test('going back is done by one person at once, and approved afterwards by another', async () => {
    const [before] = await acme.app.must<{ appBuildId: string }[]>('GET', '/deployments')
    const id = await acme.carryOut(await acme.deployAct())
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
    await acme.carryOut(await acme.deployAct())
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
    expect(await incidentsOf(paused!.id)).toMatchObject([{ title: expect.stringContaining('within a day') as string }])
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
