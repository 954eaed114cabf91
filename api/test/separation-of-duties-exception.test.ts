import { createHash } from 'node:crypto'
import { organizations, withOrg } from '@capstan/migrations'
import { beforeEach, describe, expect, test } from 'vitest'
import { canonicalJson, type CanonicalValue } from '../src/audit/canonical-json.js'
import { acme, DutiesStage, HOUR, MINUTE, settle, stage, useDuties } from './duties-fixture.js'
import { refusal } from './live-update-app.js'

useDuties()

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
    DutiesStage.now += 25 * HOUR
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
    DutiesStage.now += 25 * HOUR
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
    for (let round = 0; round < 5; round += 1) {
      DutiesStage.now += 25 * HOUR
      const session = await acme.session('owner')
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
    expect(approved).toMatchObject({ data: { exception: true }, personal: { reason: 'Nobody else is here.' } })
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

  test('S5: nobody makes themselves alone and begins it the same day; a day later it may begin', async () => {
    const remove = async (role: 'admin' | 'approver') =>
      acme.call('DELETE', `/members/${acme.org.userIds[role]}`, undefined, await acme.session('owner'))
    for (const role of ['admin', 'approver'] as const) expect((await remove(role)).status).toBe(204)
    expect(await refusal(await allow(), 409, 'exception-not-alone')).toContain('until a short while ago')
    DutiesStage.now += 23 * HOUR
    await refusal(await allow(), 409, 'exception-not-alone')
    DutiesStage.now += 2 * HOUR
    expect((await allow()).status).toBe(200)
  })

  test('S5: the database refuses it too, and takes it a day later', async () => {
    await acme.leave('admin', 'approver')
    const past = (soleOperatorSince: Date) =>
      withOrg(stage.fixture.deps.db, acme.org.id, (tx) =>
        tx.update(organizations).set({
          soleOperatorSince,
          soleOperatorUntil: new Date(soleOperatorSince.getTime() + HOUR),
          soleOperatorReason: 'I am alone here.',
        }),
      )
    await expect(past(new Date())).rejects.toMatchObject({
      cause: { message: expect.stringContaining('left less than a day ago') as string },
    })
    await past(new Date(Date.now() + 25 * HOUR))
  })

  test('an approval that was given under it does not come back with another one', async () => {
    const build = await acme.build()
    await acme.becomeSolo()
    const id = await acme.filed(await acme.deploy(build, 1, acme.org.tokens.owner))
    DutiesStage.now += 15 * MINUTE
    const reason = { reason: 'Nobody else is here.' }
    await acme.approve(id, await acme.session('owner'), reason)
    await acme.join('approver')
    await acme.leave('approver')
    DutiesStage.now += 25 * HOUR
    expect((await allow()).status).toBe(200)
    const anew = await acme.filed(await acme.deploy(build, 1, acme.org.tokens.owner), 'approval-lapsed')
    DutiesStage.now += 15 * MINUTE
    await acme.approve(anew, await acme.session('owner'), reason)
    expect((await acme.deploy(build, 1, acme.org.tokens.owner)).status).toBe(201)
  })
})
