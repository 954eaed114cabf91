import {
  changeRequests,
  changeRequestSteps,
  newId,
  type OpenDatabase,
  openDatabase,
  withOrg,
} from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { contentOf, hashContent } from '../src/change-requests/change.js'
import { acme, settle, stage, useDuties } from './duties-fixture.js'
import { refusal } from './live-update-app.js'

useDuties()

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
    const id = await acme.submit()
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
    const id = await acme.submit()
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
    const id = await acme.carryOut(await acme.deployAct())
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

  test('refuses that what was done is written anew, and that a change which waits for nobody is any other', async () => {
    const id = await acme.carryOut(await acme.deployAct())
    const set = (values: Partial<typeof changeRequests.$inferInsert>) =>
      write((tx) => tx.update(changeRequests).set(values).where(eq(changeRequests.id, id)))
    const other = new Date(0)
    for (const values of [
      { entity: `channel-deployment/${newId()}` },
      { executedAt: other },
      { approvedAt: other },
      { exception: true },
      { approvalExpiresAt: new Date(Date.now() + 3_600_000) },
    ]) {
      await expect(set(values)).rejects.toMatchObject(refusedBy('what was done with a change request never changes'))
    }
    await set({ verdict: 'unknown' })
    const record = (action: string) => {
      const content = contentOf(acme.org.id, { action, subject: { n: newId() }, effect: {} })
      const [now, due] = [new Date(), new Date(Date.now() + 1_000)]
      const done = { state: 'executed' as const, retroactive: true, executedAt: now, postApprovalDueAt: due }
      const by = { submittedBy: acme.org.userIds.admin, submittedVia: 'session', submitterRoots: [] }
      return write(async (tx) => {
        const requestId = newId()
        const what = { action, subject: {}, content, contentHash: hashContent(content) }
        await tx.insert(changeRequests).values({ id: requestId, orgId: acme.org.id, ...what, ...by, ...done })
        await tx.insert(changeRequestSteps).values(step(requestId, 'admin', 'executed'))
      })
    }
    await expect(record('credential.create')).rejects.toMatchObject(refusedBy('change_requests_at_once'))
    await record('channel.pause')
  })
})
