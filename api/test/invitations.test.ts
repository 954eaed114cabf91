import { invitations, openDatabase, organizations, userPasswords, withOrg, withUser } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { forgetExpired } from '../src/control/forget-expired.js'
import type { ControlDeps } from '../src/control/control-deps.js'
import { auditActions } from './build-fixture.js'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import { refusal } from './live-update-app.js'
import { type MemberCalls, memberCalls, type Row } from './member-calls.js'

const PASSWORD = 'correct horse battery'
type Invited = Row & { secret: string }

let now = Date.now()
let fixture: Fixture
let org: TestOrganization
let calls: MemberCalls

beforeAll(async () => {
  fixture = await createFixture({ overrides: { now: () => new Date(now) } })
})
beforeEach(async () => {
  now = Date.now()
  org = await fixture.createOrganization()
  calls = await memberCalls(fixture, org)
})
afterAll(() => fixture[Symbol.asyncDispose]())

let count = 0
const address = () => `invited-${(count += 1)}@example.test`
const invite = (body: object = {}) => calls.must<Invited>('POST', '/invitations', { email: address(), ...body })
const accept = (secret: string, token: string) =>
  fixture.request('POST', '/v1/invitations/acceptances', { token, body: { secret } })
const reject = (secret: string) => fixture.request('POST', '/v1/invitations/rejections', { body: { secret } })
const makeAccount = (secret: string, password = PASSWORD, from = '192.0.2.7') =>
  fixture.request('POST', '/v1/invitations/accounts', { body: { secret, password, name: 'Ada' }, address: from })

describe('an invitation', () => {
  test('is made with a secret that is shown once and kept as a hash', async () => {
    const { id, secret, ...rest } = await invite({ role: 'member' })
    expect(secret).toMatch(/^cj_[0-9A-Za-z]{36}$/)
    expect(rest).toMatchObject({ role: 'member', status: 'pending', organizationId: org.id })
    const listed = await calls.call('GET', '/invitations', undefined, org.tokens.admin)
    const text = await listed.text()
    expect(JSON.parse(text)).toMatchObject([{ id, status: 'pending' }])
    const stored = await withOrg(fixture.deps.db, org.id, (tx) => tx.select().from(invitations))
    expect(text + JSON.stringify(stored)).not.toContain(secret)
  })

  test('joins a signed-in person once, with the role it names', async () => {
    const { secret } = await invite({ role: 'billing' })
    const [first, second] = [await calls.person(), await calls.person()]
    expect(await (await accept(secret, first.session)).json()).toEqual({ organizationId: org.id })
    expect(await calls.must('GET', `/members/${first.userId}`)).toMatchObject({ role: 'billing' })
    await refusal(await accept(secret, second.session), 404, 'invitation-invalid')
    await refusal(await reject(secret), 404, 'invitation-invalid')
    expect(await calls.must<Row[]>('GET', '/invitations?status=accepted')).toHaveLength(1)
    expect(await auditActions(fixture, org.id)).toEqual(
      expect.arrayContaining(['invitation.created', 'invitation.accepted']),
    )
  })

  test('used by two at once joins one', async () => {
    const { secret } = await invite()
    const people = await Promise.all(Array.from({ length: 4 }, () => calls.person()))
    const answers = await Promise.all(people.map(({ session }) => accept(secret, session)))
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1)
    expect(answers.filter(({ status }) => status === 404)).toHaveLength(3)
  })

  test('is accepted in a session only, by whoever is no member yet', async () => {
    const { secret } = await invite()
    await refusal(await accept(secret, org.tokens.viewer), 403, 'session-needed')
    await refusal(await accept(secret, (await fixture.signIn(org.userIds.viewer)).token), 409, 'member-exists')
    expect((await accept(secret, (await calls.person()).session)).status).toBe(201)
  })

  test('may be rejected, canceled, and expires; then nobody joins with it', async () => {
    const [rejected, canceled, expired] = [await invite(), await invite(), await invite({ expiresInDays: 2 })]
    expect((await reject(rejected.secret)).status).toBe(204)
    expect((await calls.call('DELETE', `/invitations/${canceled.id}`)).status).toBe(204)
    await refusal(await calls.call('DELETE', `/invitations/${canceled.id}`), 404, 'not-found')
    now += 3 * 24 * 60 * 60_000
    const { session } = await calls.person()
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
    const again = () => calls.call('POST', '/invitations', { email: email.toUpperCase() })
    await refusal(await again(), 409, 'invitation-exists')
    now += 2 * 24 * 60 * 60_000
    calls = await memberCalls(fixture, org)
    expect((await again()).status).toBe(201)
    const member = { email: `${org.userIds.viewer}@example.test` }
    await refusal(await calls.call('POST', '/invitations', member), 409, 'member-exists')
  })

  test('is made by who may change members, for no more than they are', async () => {
    const as = async (role: 'admin' | 'member' | 'approver', wanted: string) =>
      calls.call('POST', '/invitations', { email: address(), role: wanted }, await calls.fresh(org.userIds[role]))
    expect((await as('admin', 'approver')).status).toBe(201)
    await refusal(await as('admin', 'owner'), 422, 'request-invalid')
    await refusal(await as('member', 'viewer'), 403, 'permission-missing')
    await refusal(await as('approver', 'viewer'), 403, 'permission-missing')
    const token = { email: address() }
    await refusal(await calls.call('POST', '/invitations', token, org.tokens.owner), 403, 'session-needed')
    await refusal(await calls.call('GET', '/invitations', undefined, org.tokens.viewer), 403, 'permission-missing')
  })

  test('joins nobody once who made it could not make it any more', async () => {
    const admin = await calls.fresh(org.userIds.admin)
    const make = (role: string) => calls.must<Invited>('POST', '/invitations', { email: address(), role }, admin)
    const [first, second] = [await make('admin'), await make('viewer')]
    const others = await invite({ role: 'admin' })
    const { session } = await calls.person()
    await calls.must('PATCH', `/members/${org.userIds.admin}`, { role: 'member' })
    for (const { secret } of [first, second]) {
      await refusal(await accept(secret, session), 404, 'invitation-invalid')
      await refusal(await makeAccount(secret), 404, 'invitation-invalid')
    }
    await calls.must('PATCH', `/members/${org.userIds.admin}`, { role: 'admin' })
    expect((await accept(first.secret, session)).status).toBe(201)
    await calls.must('DELETE', `/members/${org.userIds.admin}`)
    await refusal(await accept(second.secret, (await calls.person()).session), 404, 'invitation-invalid')
    expect((await accept(others.secret, (await calls.person()).session)).status).toBe(201)
  })

  test('joins nobody to an organization that is being ended', async () => {
    const { secret } = await invite()
    const { session } = await calls.person()
    await withOrg(fixture.deps.db, org.id, (tx) =>
      tx.update(organizations).set({ terminatingAt: new Date() }).where(eq(organizations.id, org.id)),
    )
    await refusal(await accept(secret, session), 404, 'not-found')
    await refusal(await makeAccount(secret), 404, 'not-found')
  })

  test('of another organization is not there', async () => {
    const { id } = await invite()
    const rival = await memberCalls(fixture, await fixture.createOrganization('Rival'))
    await refusal(await rival.call('DELETE', `/invitations/${id}`), 404, 'not-found')
    expect(await rival.must<Row[]>('GET', '/invitations')).toEqual([])
  })

  test('is forgotten with its address a month after it is over', async () => {
    const { id } = await invite()
    const database = openDatabase({ url: fixture.databaseUrl('control'), poolSize: 1 })
    const left = async () => {
      await forgetExpired({ db: database.db } as ControlDeps)
      return (await calls.must<Row[]>('GET', '/invitations')).map((row) => row.id)
    }
    const age = (days: number) =>
      withOrg(fixture.deps.db, org.id, (tx) =>
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

    const signIn = (password: string) => fixture.request('POST', '/v1/sessions', { body: { email, password } })
    const { token } = await (await signIn(PASSWORD)).json<{ token: string }>()
    const other = await (await signIn(PASSWORD)).json<{ token: string }>()
    const me = async (session: string) => fixture.request('GET', '/v1/users/me', { token: session })
    expect(await (await me(token)).json()).toMatchObject({ id: userId, email, name: 'Ada' })
    expect((await fixture.request('GET', calls.path, { token })).status).toBe(200)

    const change = (body: object) => fixture.request('PUT', '/v1/users/me/password', { token, body })
    const next = 'another horse battery'
    await refusal(await change({ password: 'wrong horse battery', newPassword: next }), 400, 'password-wrong')
    await refusal(await change({ password: PASSWORD, newPassword: 'short' }), 422, 'request-invalid')
    expect(await (await change({ password: PASSWORD, newPassword: next })).json()).toEqual({ ended: 1 })
    expect([(await me(token)).status, (await me(other.token)).status]).toEqual([200, 401])
    expect([(await signIn(PASSWORD)).status, (await signIn(next)).status]).toEqual([400, 201])
    expect(await auditActions(fixture, org.id)).toContain('password.changed')
  })

  test('is told to sign in where the address has an account', async () => {
    const { email, session } = await calls.person()
    const { secret } = await invite({ email })
    await refusal(await makeAccount(secret), 409, 'account-exists')
    expect((await accept(secret, session)).status).toBe(201)
  })
})

describe('a password', () => {
  test('is not changed through an API token, by guessing, or where there is none', async () => {
    const body = { password: PASSWORD, newPassword: 'another horse battery' }
    const change = (token: string) => fixture.request('PUT', '/v1/users/me/password', { token, body })
    await refusal(await change(org.tokens.owner), 403, 'session-needed')
    const { userId, session } = await calls.person()
    for (let tries = 0; tries < 10; tries += 1) await refusal(await change(session), 400, 'password-wrong')
    await refusal(await change(session), 429, 'too-many-requests')
    const stored = await withUser(fixture.deps.db, userId, (tx) => tx.select().from(userPasswords))
    expect(stored).toEqual([])
  })
})
