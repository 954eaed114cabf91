import { generateKeyPairSync } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { invitations, launchCounts, withOrg } from '@capstan/migrations'
import { importReleaseSigner, signRoot } from '@capstan/sdk/release'
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { advanceRollouts } from '../src/control/advance-rollouts.js'
import { DutiesOrg, DutiesStage, HOUR, key, MINUTE } from './duties-fixture.js'
import type { Answer } from './fixture.js'
import { keystoreBytes, storePassword } from './keystore-fixtures.js'
import { android, createKeyPair, refusal, zipOf } from './live-update-app.js'
import { type OfficialCli, startOfficialCli } from './official-cli.js'
import { chooseSockets, startTestBroker, type TestBroker } from './test-broker.js'
import { expectStatus, type Version } from './version-fixture.js'

const { publicKey: platform } = generateKeyPairSync('ed25519', {
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
})

let stage: DutiesStage
let broker: TestBroker
let acme: DutiesOrg

beforeAll(async () => {
  const sockets = await chooseSockets()
  stage = await DutiesStage.open(sockets)
  broker = await startTestBroker(stage.fixture, sockets)
  acme = await DutiesOrg.create(stage)
})
afterAll(async () => {
  await broker[Symbol.asyncDispose]()
  await stage[Symbol.asyncDispose]()
})

const executed = async (id: string) => {
  await acme.watch()
  return acme.see(id)
}
const matched = { state: 'executed', verdict: 'match' }

function keystoreForm(file: string, fields: Record<string, string>): FormData {
  const form = new FormData()
  form.append('file', new Blob([new Uint8Array(keystoreBytes(file))]), file)
  for (const [name, value] of Object.entries({ password: storePassword, ...fields })) form.append(name, value)
  return form
}
const upload = (name: string, file = 'rsa.p12') =>
  acme.app.call('POST', '/certificates', keystoreForm(file, { name, platform: 'android' }))
type Made = { id: string; appDeploymentId: string }
const lastWith = async (act: () => Promise<Answer>): Promise<{ id: string; made: Made }> => {
  const answers: Answer[] = []
  const id = await acme.carryOut(async () => {
    const answer = await act()
    answers.push(answer.clone() as Answer)
    return answer
  })
  return {
    id,
    made: (await answers
      .at(-1)
      ?.json<Made>()
      .catch(() => undefined)) as Made,
  }
}

describe('the official CLI', () => {
  let cli: OfficialCli
  beforeAll(async () => {
    cli = await startOfficialCli(stage.fixture, acme.org.tokens.admin)
    await writeFile(join(cli.folder, 'play.p12'), keystoreBytes('rsa.p12'))
  })
  afterAll(() => cli[Symbol.asyncDispose]())

  test('is told what to do, and the same command goes through once somebody else approved', async () => {
    const command = ['apps:certificates:create', '--app-id', acme.app.appId, '--file', 'play.p12', '--name', 'Play']
    const run = () =>
      cli.run(...command, '--platform', 'android', '--password', storePassword, '--key-alias', 'upload', '--yes')
    const [refused, again] = [await run(), await run()]
    for (const { code, output } of [refused, again]) {
      expect(code).toBe(1)
      expect(output).toContain("This needs a second person's approval. Change request")
      expect(output).toContain('then do the same again')
    }
    const [id, ...others] = [...new Set(`${refused.output}${again.output}`.match(/(?<=Change request )[\da-f-]{36}/g))]
    expect(others).toEqual([])
    expect(await acme.see(id!)).toMatchObject({
      action: 'credential.create',
      state: 'submitted',
      details: { name: 'Play', keyAlias: 'upload', fileSha256: expect.stringMatching(/^[\da-f]{64}$/) },
    })
    await acme.approve(id!)
    const done = await run()
    expect(done.code, done.output).toBe(0)
    expect(await executed(id!)).toMatchObject(matched)
  })
})

describe('credentials', () => {
  test('are uploaded, rotated, retired, destroyed and deleted by two people', async () => {
    const { id, made } = await lastWith(() => upload('Upload key'))
    expect(await executed(id)).toMatchObject(matched)
    const path = `/certificates/${made.id}`
    const next = await acme.app.call('POST', `${path}/versions`, keystoreForm('ec.p12', {}))
    expect((await expectStatus<Version>(next, 201)).status).toBe('validated')
    const activate = () => acme.app.call('POST', `${path}/versions/2/activate`, { expectedActiveVersion: 1 })
    const rotation = await acme.carryOut(activate)
    expect(await executed(rotation)).toMatchObject(matched)
    expect((await acme.see(id)).state).toBe('closed')
    await acme.carryOut(() => acme.app.call('POST', `${path}/versions/1/retire`, {}))
    const destruction = await acme.carryOut(() => acme.app.call('DELETE', `${path}/versions/1`))
    expect(await executed(destruction)).toMatchObject(matched)
    const deletion = await acme.carryOut(() => acme.app.call('DELETE', path))
    expect(await executed(deletion)).toMatchObject(matched)
    expect((await acme.app.call('GET', path)).status).toBe(404)
  })

  test('another file under the same name is not what was approved', async () => {
    await acme.approve(await acme.filed(await upload('Stale')))
    await acme.filed(await upload('Stale', 'ec.p12'), 'approval-stale')
  })

  test('that are not usable are refused as ever, and nobody is asked', async () => {
    const before = await acme.list()
    const form = keystoreForm('rsa.p12', { name: 'Wrong', platform: 'android', password: 'nope' })
    expect((await acme.app.call('POST', '/certificates', form)).status).toBe(422)
    expect(await acme.list()).toHaveLength(before.length)
  })
})

describe('settings', () => {
  test('of an app and its organization need somebody else, and what changes nothing does not', async () => {
    const egress = () => acme.app.call('PATCH', '', { egressHosts: ['registry.example.test'] })
    expect(await executed(await acme.carryOut(egress))).toMatchObject(matched)
    expect((await egress()).status).toBe(200)
    expect((await acme.app.call('PATCH', '', { name: 'Renamed' })).status).toBe(200)
    const owner = await acme.session('owner')
    const retain = (days: number | null) => acme.call('PATCH', '', { artifactRetentionDays: days }, owner)
    expect(await executed(await acme.carryOut(() => retain(30)))).toMatchObject(matched)
    expect((await retain(30)).status).toBe(200)
    await acme.filed(await retain(null))
    expect((await acme.call('PATCH', '', { name: 'Acme' }, owner)).status).toBe(200)
  })

  test('a protected channel is not renamed, unprotected or deleted by one person', async () => {
    const { id } = await acme.app.must('POST', '/channels', { name: 'guarded', protected: true })
    const change = (body: object) => acme.app.call('PATCH', `/channels/${id}`, body)
    await acme.filed(await change({ name: 'elsewhere' }))
    await acme.filed(await acme.app.call('DELETE', `/channels/${id}`))
    await acme.filed(await acme.app.call('DELETE', '/channels?name=guarded'))
    expect((await change({ name: 'guarded', protected: true })).status).toBe(200)
    expect(await executed(await acme.carryOut(() => change({ protected: false })))).toMatchObject(matched)
    expect((await change({ name: 'free' })).status).toBe(200)
    expect((await acme.app.call('DELETE', `/channels/${id}`)).status).toBe(204)
  })

  test('a bundle that a protected channel serves is not deleted by one person; another is', async () => {
    const { bundleId } = await (await acme.app.latest(android('production'))).json<{ bundleId: string }>()
    await acme.filed(await acme.app.call('DELETE', `/bundles/${bundleId}`))
    const { bundle } = await acme.app.publishZip(zipOf({ 'index.html': 'nowhere' }))
    expect((await acme.app.call('DELETE', `/bundles/${bundle.id}`)).status).toBe(204)
  })
})

describe('who may sign updates', () => {
  test('is changed by two people: keys and roots', async () => {
    const other = createKeyPair()
    const { id, made } = await lastWith(() => acme.app.call('POST', '/public-keys', { pem: other.publicPem }))
    expect(await executed(id)).toMatchObject(matched)
    expect((await acme.app.call('POST', '/public-keys', { pem: other.publicPem })).status).toBe(201)
    const revocation = await acme.carryOut(() => acme.app.call('DELETE', `/public-keys/${made.id}`))
    expect(await executed(revocation)).toMatchObject(matched)
    const statement = {
      _type: 'capstan-root/v1' as const,
      appId: acme.app.appId,
      version: 2,
      createdAt: new Date().toISOString(),
      releaseKeys: [key.publicPem],
      platformKeys: [platform],
      revokedBundleIds: [],
    }
    const root = await signRoot(statement, [await importReleaseSigner(key.privatePem, 'hint')])
    const send = () => acme.app.call('POST', '/roots', { root })
    expect(await executed(await acme.carryOut(send))).toMatchObject(matched)
    expect((await send()).status).toBe(201)
  })
})

describe('a rollout on a protected channel', () => {
  const steps = [0.1, 1].map((percentage) => ({ percentage, dwellMinutes: 10 }))
  const plan = (appBuildId: string) => () =>
    acme.app.call('POST', '/rollouts', { appBuildId, appChannelName: 'production', steps })
  const advance = async (minutes: number) => {
    DutiesStage.now += minutes * MINUTE
    await advanceRollouts(stage.control)
  }

  test('is approved as a whole, climbs alone, and is narrowed by anybody', async () => {
    const { id, made } = await lastWith(plan(await acme.build()))
    expect(await executed(id)).toMatchObject(matched)
    const rollout = `/rollouts/${made.id}`
    expect((await acme.app.call('POST', `${rollout}/pause`, {})).status).toBe(200)
    expect((await acme.app.call('POST', `${rollout}/resume`, {})).status).toBe(200)
    await advance(11)
    expect(await acme.app.must('GET', rollout)).toMatchObject({ status: 'running', step: 1 })
    expect(await executed(id)).toMatchObject(matched)
    expect((await acme.app.call('POST', `${rollout}/abort`, {})).status).toBe(200)
    const [aborted, paused] = await acme.list('?state=executed')
    expect([aborted?.action, paused?.action]).toEqual(['rollout.abort', 'rollout.pause'])
    for (const request of [aborted, paused])
      expect(await acme.approve(request!.id)).toMatchObject({ retroactive: true })
    expect(await executed(aborted!.id)).toMatchObject(matched)
  })

  test('that was halted goes on only when two people want it to', async () => {
    const { made } = await lastWith(plan(await acme.build()))
    await withOrg(stage.fixture.deps.db, acme.org.id, (tx) =>
      tx.insert(launchCounts).values({
        orgId: acme.org.id,
        appId: acme.app.appId,
        deploymentId: made.appDeploymentId,
        bucket: new Date(DutiesStage.now),
        shard: 1,
        confirmed: 0,
        failed: 500,
      }),
    )
    await advance(1)
    const rollout = `/rollouts/${made.id}`
    expect(await acme.app.must('GET', rollout)).toMatchObject({ status: 'halted' })
    const resumed = await acme.carryOut(() => acme.app.call('POST', `${rollout}/resume`, {}))
    expect(await executed(resumed)).toMatchObject(matched)
  })

  test('takes no further step while what devices get is not what was approved', async () => {
    const { id, made } = await lastWith(plan(await acme.build()))
    await withOrg(stage.fixture.deps.db, acme.org.id, (tx) =>
      tx.execute(`update deployments set rollout_percentage = 0.5 where id = '${made.appDeploymentId}'`),
    )
    expect(await executed(id)).toMatchObject({ verdict: 'mismatch' })
    await advance(11)
    expect(await acme.app.must('GET', `/rollouts/${made.id}`)).toMatchObject({ status: 'running', step: 0 })
    await refusal(await plan(await acme.build())(), 423, 'rollouts-frozen')
    expect((await acme.app.call('POST', `/rollouts/${made.id}/abort`, {})).status).toBe(200)
    const [aborted] = await acme.list()
    await acme.approve(aborted!.id)
    await acme.filed(await plan(await acme.build())())
  })
})

describe('people', () => {
  test('a role that can approve is given by two people, never by who gets it', async () => {
    const viewer = acme.org.userIds.viewer
    const admin = await acme.session('admin')
    const promote = () => acme.call('PATCH', `/members/${viewer}`, { role: 'approver' }, admin)
    const id = await acme.filed(await promote())
    await refusal(await acme.step(id, 'approve', acme.org.tokens.viewer), 403, 'permission-missing')
    await acme.approve(id, acme.org.tokens.owner)
    expect((await promote()).status).toBe(200)
    expect(await executed(id)).toMatchObject(matched)
    expect((await acme.call('PATCH', `/members/${viewer}`, { role: 'viewer' }, admin)).status).toBe(200)
    expect((await acme.see(id)).state).toBe('closed')
    // An approval is for one time.
    expect(await acme.filed(await promote())).not.toBe(id)
    await acme.carryOut(() => acme.call('POST', '/invitations', { email: 'new@example.test', role: 'approver' }, admin))
    const guest = { email: 'guest@example.test', role: 'viewer' }
    expect((await acme.call('POST', '/invitations', guest, admin)).status).toBe(201)
  })

  test('who may approve gets more by two people as well, and less by one', async () => {
    const fresh = await DutiesOrg.create(stage)
    const { approver, admin } = fresh.org.userIds
    const owner = await fresh.session('owner')
    const give = (userId: string, role: string) => fresh.call('PATCH', `/members/${userId}`, { role }, owner)
    await fresh.approve(await fresh.filed(await give(approver, 'admin')), fresh.org.tokens.admin)
    expect((await give(approver, 'admin')).status).toBe(200)
    const toOwner = await fresh.filed(await give(admin, 'owner'))
    await refusal(await fresh.step(toOwner, 'approve', fresh.org.tokens.admin), 403, 'approval-benefits-you')
    await fresh.approve(toOwner, fresh.org.tokens.approver)
    for (const role of ['owner', 'admin', 'approver', 'viewer']) {
      expect([role, (await give(admin, role)).status]).toEqual([role, 200])
    }
  })

  const accept = (secret: string, token: string) =>
    stage.fixture.request('POST', '/v1/invitations/acceptances', { token, body: { secret } })

  test('S5: an invitation to a role that can approve takes in nobody who approved it', async () => {
    const fresh = await DutiesOrg.create(stage)
    const owner = await fresh.session('owner')
    const invite = () => fresh.call('POST', '/invitations', { email: 'second@example.test', role: 'approver' }, owner)
    await fresh.approve(await fresh.filed(await invite()))
    const { id, secret } = await (await invite()).json<{ id: string; secret: string }>()
    await fresh.leave('approver')
    await refusal(await accept(secret, await fresh.session('approver')), 403, 'approval-benefits-you')
    const past = withOrg(stage.fixture.deps.db, fresh.org.id, (tx) =>
      tx
        .update(invitations)
        .set({ status: 'accepted', decidedAt: new Date(), acceptedBy: fresh.org.userIds.approver })
        .where(eq(invitations.id, id)),
    )
    await expect(past).rejects.toMatchObject({
      cause: { message: expect.stringContaining('nobody approves a grant to themselves') },
    })
    expect((await accept(secret, await acme.session('billing'))).status).toBe(201)
  })

  test('an invitation from before the policy gives no role that can approve; another role it does', async () => {
    const fresh = await DutiesOrg.create(stage, { enabled: false })
    const owner = await fresh.session('owner')
    const invite = async (role: string) => {
      const answer = await fresh.call('POST', '/invitations', { email: `${role}@example.test`, role }, owner)
      return answer.json<{ secret: string }>()
    }
    const [admin, member] = [await invite('admin'), await invite('member')]
    await fresh.enable()
    const person = await acme.session('billing')
    await refusal(await accept(admin.secret, person), 404, 'invitation-invalid')
    expect((await accept(member.secret, person)).status).toBe(201)
  })

  test('T9 a second approver who comes through the API ends the exception too', async () => {
    const solo = await DutiesOrg.create(stage)
    await solo.becomeSolo()
    const member = solo.org.userIds.member
    const promote = async () =>
      solo.call('PATCH', `/members/${member}`, { role: 'approver' }, await solo.session('owner'))
    const id = await solo.filed(await promote())
    DutiesStage.now += 16 * MINUTE
    await solo.approve(id, await solo.session('owner'), { reason: 'We hired somebody.' })
    expect((await promote()).status).toBe(200)
    expect(await solo.duties()).toMatchObject({ soleOperator: null, approvers: 2 })
    expect(await solo.events('organization.sole_operator_ended')).toHaveLength(1)
  })
})

describe('the policy', () => {
  test('is off in a new organization, and then nothing is filed', async () => {
    const fresh = await DutiesOrg.create(stage, { enabled: false })
    expect(await fresh.duties()).toEqual({ enabled: false, approvers: 3, soleOperator: null })
    expect((await fresh.deploy(await fresh.build())).status).toBe(201)
    expect(await fresh.list()).toEqual([])
  })

  test('is turned on by an owner with a fresh second factor, and off by two people', async () => {
    const fresh = await DutiesOrg.create(stage, { enabled: false })
    const set = (enabled: boolean, token: string) => fresh.call('PATCH', '/separation-of-duties', { enabled }, token)
    await refusal(await set(true, await fresh.session('admin')), 403, 'permission-missing')
    await refusal(await set(true, fresh.org.tokens.owner), 403, 'session-needed')
    await fresh.enable()
    const open = await fresh.filed(await fresh.deploy(await fresh.build()))
    const owner = await fresh.session('owner')
    const id = await fresh.filed(await set(false, owner))
    await refusal(await fresh.step(id, 'approve', owner), 403, 'self-approval')
    await fresh.approve(id)
    expect(await (await set(false, owner)).json()).toMatchObject({ enabled: false })
    expect((await fresh.see(open)).state).toBe('voided')
    expect((await fresh.deploy(await fresh.build())).status).toBe(201)
    expect(await fresh.events('organization.separation_of_duties_disabled')).toMatchObject([
      { data: { approval: { request: id } } },
    ])
  })
})

describe('an end', () => {
  test('of an app, and of the organization, needs two people', async () => {
    const gone = await DutiesOrg.create(stage)
    await gone.carryOut(() => gone.app.call('DELETE', ''))
    expect((await gone.app.call('GET', '')).status).toBe(404)
    const owner = await gone.session('owner')
    const { name } = await (await gone.call('GET', '')).json<{ name: string }>()
    await gone.carryOut(() => gone.call('DELETE', '', { name }, owner))
    DutiesStage.now += HOUR
  })
})
