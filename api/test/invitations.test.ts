import { invitations, openDatabase, organizations, userPasswords, withOrg, withUser } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { describe, expect, test } from 'vitest'
import { forgetExpired } from '../src/control/forget-expired.js'
import type { ControlDeps } from '../src/control/control-deps.js'
import { auditActions } from './build-fixture.js'
import { refusal } from './live-update-app.js'
import { memberCalls, memberStage, type Row } from './member-calls.js'

const PASSWORD = 'correct horse battery'
type Invited = Row & { secret: string }

const stage = memberStage()

let count = 0
const address = () => `invited-${(count += 1)}@example.test`
const invite = (body: object = {}) => stage.calls.must<Invited>('POST', '/invitations', { email: address(), ...body })
const accept = (secret: string, token: string) =>
  stage.fixture.request('POST', '/v1/invitations/acceptances', { token, body: { secret } })
const reject = (secret: string) => stage.fixture.request('POST', '/v1/invitations/rejections', { body: { secret } })
const makeAccount = (secret: string, password = PASSWORD, from = '192.0.2.7') =>
  stage.fixture.request('POST', '/v1/invitations/accounts', { body: { secret, password, name: 'Ada' }, address: from })

describe('an invitation', () => {
  test('is made with a secret that is shown once and kept as a hash', async () => {
    const { id, secret, ...rest } = await invite({ role: 'member' })
    expect(secret).toMatch(/^cj_[0-9A-Za-z]{36}$/)
    expect(rest).toMatchObject({ role: 'member', status: 'pending', organizationId: stage.org.id })
    const listed = await stage.calls.call('GET', '/invitations', undefined, stage.org.tokens.admin)
    const text = await listed.text()
    expect(JSON.parse(text)).toMatchObject([{ id, status: 'pending' }])
    const stored = await withOrg(stage.fixture.deps.db, stage.org.id, (tx) => tx.select().from(invitations))
    expect(text + JSON.stringify(stored)).not.toContain(secret)
  })

  test('joins a signed-in person once, with the role it names', async () => {
    const { secret } = await invite({ role: 'billing' })
    const [first, second] = [await stage.calls.person(), await stage.calls.person()]
    expect(await (await accept(secret, first.session)).json()).toEqual({ organizationId: stage.org.id })
    expect(await stage.calls.must('GET', `/members/${first.userId}`)).toMatchObject({ role: 'billing' })
    await refusal(await accept(secret, second.session), 404, 'invitation-invalid')
    await refusal(await reject(secret), 404, 'invitation-invalid')
    expect(await stage.calls.must<Row[]>('GET', '/invitations?status=accepted')).toHaveLength(1)
    expect(await auditActions(stage.fixture, stage.org.id)).toEqual(
      expect.arrayContaining(['invitation.created', 'invitation.accepted']),
    )
  })

  test('used by two at once joins one', async () => {
    const { secret } = await invite()
    const people = await Promise.all(Array.from({ length: 4 }, () => stage.calls.person()))
    const answers = await Promise.all(people.map(({ session }) => accept(secret, session)))
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1)
    expect(answers.filter(({ status }) => status === 404)).toHaveLength(3)
  })

  test('is accepted in a session only, by whoever is no member yet', async () => {
    const { secret } = await invite()
    await refusal(await accept(secret, stage.org.tokens.viewer), 403, 'session-needed')
    await refusal(
      await accept(secret, (await stage.fixture.signIn(stage.org.userIds.viewer)).token),
      409,
      'member-exists',
    )
    expect((await accept(secret, (await stage.calls.person()).session)).status).toBe(201)
  })

  test('may be rejected, canceled, and expires; then nobody joins with it', async () => {
    const [rejected, canceled, expired] = [await invite(), await invite(), await invite({ expiresInDays: 2 })]
    expect((await reject(rejected.secret)).status).toBe(204)
    expect((await stage.calls.call('DELETE', `/invitations/${canceled.id}`)).status).toBe(204)
    await refusal(await stage.calls.call('DELETE', `/invitations/${canceled.id}`), 404, 'not-found')
    stage.now += 3 * 24 * 60 * 60_000
    const { session } = await stage.calls.person()
    for (const { secret } of [rejected, canceled, expired]) {
      await refusal(await accept(secret, session), 404, 'invitation-invalid')
      await refusal(await makeAccount(secret), 404, 'invitation-invalid')
    }
    await refusal(await accept(`cj_${'A'.repeat(36)}`, session), 404, 'invitation-invalid')
    await refusal(await accept('', session), 404, 'invitation-invalid')
  })

  test('is one for an address at a time, and none for a member', async () => {
    const email = address()
    await invite({ email, expiresInDays: 1 })
    const again = () => stage.calls.call('POST', '/invitations', { email: email.toUpperCase() })
    await refusal(await again(), 409, 'invitation-exists')
    stage.now += 2 * 24 * 60 * 60_000
    stage.calls = await memberCalls(stage.fixture, stage.org)
    expect((await again()).status).toBe(201)
    const member = { email: `${stage.org.userIds.viewer}@example.test` }
    await refusal(await stage.calls.call('POST', '/invitations', member), 409, 'member-exists')
  })

  test('is made by who may change members, for no more than they are', async () => {
    const as = async (role: 'admin' | 'member' | 'approver', wanted: string) =>
      stage.calls.call(
        'POST',
        '/invitations',
        { email: address(), role: wanted },
        await stage.calls.fresh(stage.org.userIds[role]),
      )
    expect((await as('admin', 'approver')).status).toBe(201)
    await refusal(await as('admin', 'owner'), 422, 'request-invalid')
    await refusal(await as('member', 'viewer'), 403, 'permission-missing')
    await refusal(await as('approver', 'viewer'), 403, 'permission-missing')
    const token = { email: address() }
    await refusal(await stage.calls.call('POST', '/invitations', token, stage.org.tokens.owner), 403, 'session-needed')
    await refusal(
      await stage.calls.call('GET', '/invitations', undefined, stage.org.tokens.viewer),
      403,
      'permission-missing',
    )
  })

  test('joins nobody once who made it could not make it any more', async () => {
    const admin = await stage.calls.fresh(stage.org.userIds.admin)
    const make = (role: string) => stage.calls.must<Invited>('POST', '/invitations', { email: address(), role }, admin)
    const [first, second] = [await make('admin'), await make('viewer')]
    const others = await invite({ role: 'admin' })
    const { session } = await stage.calls.person()
    await stage.calls.must('PATCH', `/members/${stage.org.userIds.admin}`, { role: 'member' })
    for (const { secret } of [first, second]) {
      await refusal(await accept(secret, session), 404, 'invitation-invalid')
      await refusal(await makeAccount(secret), 404, 'invitation-invalid')
    }
    await stage.calls.must('PATCH', `/members/${stage.org.userIds.admin}`, { role: 'admin' })
    expect((await accept(first.secret, session)).status).toBe(201)
    await stage.calls.must('DELETE', `/members/${stage.org.userIds.admin}`)
    await refusal(await accept(second.secret, (await stage.calls.person()).session), 404, 'invitation-invalid')
    expect((await accept(others.secret, (await stage.calls.person()).session)).status).toBe(201)
  })

  test('joins nobody to an organization that is being ended', async () => {
    const { secret } = await invite()
    const { session } = await stage.calls.person()
    await withOrg(stage.fixture.deps.db, stage.org.id, (tx) =>
      tx.update(organizations).set({ terminatingAt: new Date() }).where(eq(organizations.id, stage.org.id)),
    )
    await refusal(await accept(secret, session), 404, 'not-found')
    await refusal(await makeAccount(secret), 404, 'not-found')
  })

  test('of another organization is not there', async () => {
    const { id } = await invite()
    const rival = await memberCalls(stage.fixture, await stage.fixture.createOrganization('Rival'))
    await refusal(await rival.call('DELETE', `/invitations/${id}`), 404, 'not-found')
    expect(await rival.must<Row[]>('GET', '/invitations')).toEqual([])
  })

  test('is forgotten with its address a month after it is over', async () => {
    const { id } = await invite()
    const database = openDatabase({ url: stage.fixture.databaseUrl('control'), poolSize: 1 })
    const left = async () => {
      await forgetExpired({ db: database.db } as ControlDeps)
      return (await stage.calls.must<Row[]>('GET', '/invitations')).map((row) => row.id)
    }
    const age = (days: number) =>
      withOrg(stage.fixture.deps.db, stage.org.id, (tx) =>
        tx.update(invitations).set({ expiresAt: new Date(Date.now() - days * 24 * 60 * 60_000) }),
      )
    await age(29)
    expect(await left()).toEqual([id])
    await age(31)
    expect(await left()).toEqual([])
    await database[Symbol.asyncDispose]()
  })
})

describe('an invited person without an account', () => {
  test('makes one with the secret, signs in with the password, and changes it', async () => {
    const { email, secret } = await invite({ role: 'viewer' })
    await refusal(await makeAccount(secret, 'too short'), 422, 'request-invalid')
    const made = await makeAccount(secret)
    expect(made.status).toBe(201)
    const { userId } = await made.json<{ userId: string }>()
    await refusal(await makeAccount(secret), 404, 'invitation-invalid')

    const signIn = (password: string) => stage.fixture.request('POST', '/v1/sessions', { body: { email, password } })
    const { token } = await (await signIn(PASSWORD)).json<{ token: string }>()
    const other = await (await signIn(PASSWORD)).json<{ token: string }>()
    const me = async (session: string) => stage.fixture.request('GET', '/v1/users/me', { token: session })
    expect(await (await me(token)).json()).toMatchObject({ id: userId, email, name: 'Ada' })
    expect((await stage.fixture.request('GET', stage.calls.path, { token })).status).toBe(200)

    const change = (body: object) => stage.fixture.request('PUT', '/v1/users/me/password', { token, body })
    const next = 'another horse battery'
    await refusal(await change({ password: 'wrong horse battery', newPassword: next }), 400, 'password-wrong')
    await refusal(await change({ password: PASSWORD, newPassword: 'short' }), 422, 'request-invalid')
    expect(await (await change({ password: PASSWORD, newPassword: next })).json()).toEqual({ ended: 1 })
    expect([(await me(token)).status, (await me(other.token)).status]).toEqual([200, 401])
    expect([(await signIn(PASSWORD)).status, (await signIn(next)).status]).toEqual([400, 201])
    expect(await auditActions(stage.fixture, stage.org.id)).toContain('password.changed')
  })

  test('is told to sign in where the address has an account', async () => {
    const { email, session } = await stage.calls.person()
    const { secret } = await invite({ email })
    await refusal(await makeAccount(secret), 409, 'account-exists')
    expect((await accept(secret, session)).status).toBe(201)
  })
})

describe('a password', () => {
  test('is not changed through an API token, by guessing, or where there is none', async () => {
    const body = { password: PASSWORD, newPassword: 'another horse battery' }
    const change = (token: string) => stage.fixture.request('PUT', '/v1/users/me/password', { token, body })
    await refusal(await change(stage.org.tokens.owner), 403, 'session-needed')
    const { userId, session } = await stage.calls.person()
    for (let tries = 0; tries < 10; tries += 1) await refusal(await change(session), 400, 'password-wrong')
    await refusal(await change(session), 429, 'too-many-requests')
    const stored = await withUser(stage.fixture.deps.db, userId, (tx) => tx.select().from(userPasswords))
    expect(stored).toEqual([])
  })
})
