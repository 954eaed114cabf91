import { memberships, newId, openDatabase, roleGrants, roles, users, withOrg, withUser } from '@capstan/migrations'
import { sql } from 'drizzle-orm'
import { beforeAll, describe, expect, test } from 'vitest'
import { scopesOf } from '../src/auth/permissions.js'
import { acme, DutiesStage, HOUR, MINUTE, settle, stage, useDuties } from './duties-fixture.js'
import { refusal } from './live-update-app.js'

useDuties()

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
    const [id, other] = [await acme.submit(), await acme.submit()]
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
    const id = await acme.submit()
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
    const id = await acme.submit()
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
    const foreign = await acme.submit()
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
    const id = await acme.submit()
    await acme.leave('admin')
    await acme.join('admin', 'approver')
    await refusal(await acme.step(id, 'approve', acme.org.tokens.admin), 403, 'self-approval')
    await acme.approve(id)
  })
})

describe('two accounts', () => {
  beforeAll(settle)

  test('a second account with the same address is the same person; one with another address is not', async () => {
    // As a provider of the organization brings somebody in: the address is nobody's key.
    const join = async (email: string) => {
      const userId = newId()
      await withUser(stage.fixture.deps.db, userId, (tx) =>
        tx.insert(users).values({ id: userId, email, federated: true }),
      )
      await withOrg(stage.fixture.deps.db, acme.org.id, (tx) =>
        tx.insert(memberships).values({ orgId: acme.org.id, userId, role: 'approver' }),
      )
      return (await stage.fixture.signIn(userId)).token
    }
    const twin = await join(`${acme.org.userIds.member.toUpperCase()}@Example.test`)
    const other = await join('somebody-else@example.test')
    const build = await acme.build()
    const release = () => acme.deploy(build, 1, acme.org.tokens.member)
    const id = await acme.filed(await release())
    await refusal(await acme.step(id, 'approve', twin), 403, 'self-approval')
    await acme.approve(id, other)
    expect((await release()).status).toBe(201)
    await refusal(await acme.step(id, 'attest', twin), 403, 'self-attestation')
    expect((await acme.step(id, 'attest', other)).status).toBe(200)
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
  })

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
