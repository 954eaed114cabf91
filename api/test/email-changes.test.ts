import {
  emailChanges,
  memberships,
  newId,
  openDatabase,
  userPasswords,
  users,
  withOrg,
  withUser,
} from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { hashPassword } from '../src/auth/password.js'
import type { ControlDeps } from '../src/control/control-deps.js'
import { forgetExpired } from '../src/control/forget-expired.js'
import { auditActions } from './build-fixture.js'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import { refusal } from './live-update-app.js'
import { linkTo, MAIL_KEY, mailsTo } from './waiting-mails.js'

const PASSWORD = 'correct horse battery'
const NEXT = 'another horse battery'
const MINUTE = 60_000

let fixture: Fixture
let org: TestOrganization
let now: number
let me: string
let before: string
let after: string
let session: string

beforeAll(async () => {
  fixture = await createFixture({ overrides: { mailKey: MAIL_KEY, now: () => new Date(now) } })
})
beforeEach(async () => {
  now = Date.now()
  org = await fixture.createOrganization()
  me = org.userIds.member
  ;[before, after] = [`${me}@example.test`, `New.${me}@example.test`]
  const hash = await hashPassword(PASSWORD)
  await withUser(fixture.deps.db, me, (tx) => tx.insert(userPasswords).values({ userId: me, hash }))
  session = (await fixture.signIn(me)).token
})
afterAll(() => fixture[Symbol.asyncDispose]())

const path = '/v1/users/me/email-changes'
const ask = (email = after, token = session) => fixture.request('POST', path, { token, body: { email } })
const redeem = (secret: string, token = session) =>
  fixture.request('POST', `${path}/redemptions`, { token, body: { secret } })
const signIn = (email: string, password = PASSWORD) =>
  fixture.request('POST', '/v1/sessions', { body: { email, password } })
const addressOf = async (token = session) =>
  (await (await fixture.request('GET', '/v1/users/me', { token })).json<{ email: string }>()).email
const asked = async (email = after, token = session) => {
  expect((await ask(email, token)).status).toBe(202)
  return (await linkTo(fixture, email)).secret
}

describe('another e-mail address', () => {
  test('counts once its letterbox has shown the code; the old one is told, and opens nothing any more', async () => {
    const other = await fixture.signIn(me)
    const secret = await asked()
    expect(await addressOf()).toBe(before)
    expect((await mailsTo(fixture, before)).at(-1)?.text).toContain(`was mailed to ${after}`)
    const stored = await withUser(fixture.deps.db, me, (tx) => tx.select().from(emailChanges))
    expect(JSON.stringify(stored)).not.toContain(secret)
    expect(await (await redeem(secret)).json()).toEqual({ email: after, ended: 1 })
    expect(await addressOf()).toBe(after)
    expect((await fixture.request('GET', '/v1/users/me', { token: other.token })).status).toBe(401)
    expect((await mailsTo(fixture, before)).at(-1)?.text).toContain(`with ${after} from now on`)
    expect([(await signIn(before)).status, (await signIn(after.toUpperCase())).status]).toEqual([400, 201])
    await refusal(await redeem(secret), 422, 'email-change-invalid')
  })

  test('is seen in each organization of the person, and the log of each tells of it without an address', async () => {
    const elsewhere = await fixture.createOrganization('Elsewhere')
    await withOrg(fixture.deps.db, elsewhere.id, (tx) =>
      tx.insert(memberships).values({ orgId: elsewhere.id, userId: me, role: 'viewer' }),
    )
    expect((await redeem(await asked())).status).toBe(200)
    for (const { id, tokens } of [org, elsewhere]) {
      const read = async (rest: string) =>
        (await fixture.request('GET', `/v1/organizations/${id}${rest}`, { token: tokens.owner })).text()
      expect(JSON.parse(await read(`/members/${me}`))).toMatchObject({ user: { email: after } })
      expect(await auditActions(fixture, id)).toEqual(
        expect.arrayContaining(['email.change_requested', 'email.changed']),
      )
      expect((await read('/audit-events/export')).toLowerCase()).not.toContain(after.toLowerCase())
    }
  })

  test('may be the same one in other letters', async () => {
    expect((await redeem(await asked(before.toUpperCase()))).status).toBe(200)
    expect(await addressOf()).toBe(before.toUpperCase())
  })

  test('makes nobody somebody else: who submitted a change does not approve it under a new address', async () => {
    const secondFactorAt = new Date(now)
    const fresh = async (role: 'owner' | 'approver') =>
      (await fixture.signIn(org.userIds[role], { secondFactorAt })).token
    const owner = await fresh('owner')
    const call = (method: string, rest: string, token: string, body: object) =>
      fixture.request(method, `/v1/organizations/${org.id}${rest}`, { token, body })
    expect((await call('PATCH', '/separation-of-duties', owner, { enabled: true })).status).toBe(200)
    const { detail } = await (await call('PATCH', '', owner, { artifactRetentionDays: 9 })).json<{ detail: string }>()
    const request = /Change request ([\da-f-]{36})/.exec(detail)?.[1] ?? detail
    expect((await redeem(await asked(after, owner), owner)).status).toBe(200)
    await refusal(await call('POST', `/change-requests/${request}/approve`, owner, {}), 403, 'self-approval')
    expect((await call('POST', `/change-requests/${request}/approve`, await fresh('approver'), {})).status).toBe(200)
  })
})

describe('an address that somebody else has', () => {
  test('is answered like a free one, and only its letterbox learns of it', async () => {
    const taken = `${org.userIds.viewer}@example.test`
    const answers = [await ask(), await ask(taken.toUpperCase())]
    expect(await Promise.all(answers.map(async (answer) => [answer.status, await answer.text()]))).toEqual([
      [202, ''],
      [202, ''],
    ])
    expect((await mailsTo(fixture, taken)).at(-1)?.text).toContain('belongs to one already')
    await expect(linkTo(fixture, taken)).rejects.toThrow('No mail')
    // Both are told of alike.
    expect(await mailsTo(fixture, before)).toHaveLength(2)
    const left = await withUser(fixture.deps.db, me, (tx) => tx.select().from(emailChanges))
    expect(left).toEqual([])
  })

  test('meanwhile is refused, and of two who take one at once one has it', async () => {
    const secret = await asked()
    const late = newId()
    await withUser(fixture.deps.db, late, (tx) => tx.insert(users).values({ id: late, email: after.toLowerCase() }))
    await refusal(await redeem(secret), 409, 'account-exists')
    expect(await addressOf()).toBe(before)
    await withUser(fixture.deps.db, late, (tx) => tx.delete(users).where(eq(users.id, late)))
    const other = (await fixture.signIn(org.userIds.admin)).token
    const secrets = [secret, await asked(after, other)]
    const answers = await Promise.all([redeem(secrets[0]!), redeem(secrets[1]!, other)])
    expect(answers.map(({ status }) => status).sort((a, b) => a - b)).toEqual([200, 409])
  })

  test('because a provider said so of its people, is free', async () => {
    const federated = newId()
    await withUser(fixture.deps.db, federated, (tx) =>
      tx.insert(users).values({ id: federated, email: after, federated: true }),
    )
    expect((await redeem(await asked())).status).toBe(200)
  })
})

describe('a code for another address', () => {
  test('is worth something to the person who asked alone, signed in, and once', async () => {
    const secret = await asked()
    const stranger = (await fixture.signIn(org.userIds.viewer)).token
    await refusal(await redeem(secret, stranger), 422, 'email-change-invalid')
    await refusal(await redeem(secret, org.tokens.member), 403, 'session-needed')
    await refusal(await fixture.request('POST', `${path}/redemptions`, { body: { secret } }), 401, 'token-missing')
    for (const other of ['', 'ce_x', `ce_${'A'.repeat(36)}`, org.tokens.member]) {
      await refusal(await redeem(other), 422, 'email-change-invalid')
    }
    const both = await Promise.all([redeem(secret), redeem(secret)])
    expect(both.map(({ status }) => status).sort((a, b) => a - b)).toEqual([200, 422])
  })

  test('is void after half an hour, and when another one was asked for', async () => {
    const [first, second] = [await asked(), await asked(`second.${after}`)]
    await refusal(await redeem(first), 422, 'email-change-invalid')
    now += 31 * MINUTE
    await refusal(await redeem(second), 422, 'email-change-invalid')
    session = (await fixture.signIn(me)).token
    const third = await asked(`third.${after}`)
    now += 29 * MINUTE
    expect((await redeem(third)).status).toBe(200)
  })

  test('is void when the password changes, by whoever knows it or by a mailed code', async () => {
    const secret = await asked()
    const change = { password: PASSWORD, newPassword: NEXT }
    expect((await fixture.request('PUT', '/v1/users/me/password', { token: session, body: change })).status).toBe(200)
    await refusal(await redeem(secret), 422, 'email-change-invalid')
    const again = await asked()
    const reset = { email: before }
    expect((await fixture.request('POST', '/v1/password-resets', { body: reset })).status).toBe(202)
    await expect.poll(() => linkTo(fixture, before).then(({ secret: code }) => code.slice(0, 3))).toBe('cr_')
    const { secret: code } = await linkTo(fixture, before)
    const body = { secret: code, password: PASSWORD }
    expect((await fixture.request('POST', '/v1/password-resets/redemptions', { body })).status).toBe(204)
    session = (await fixture.signIn(me)).token
    await refusal(await redeem(again), 422, 'email-change-invalid')
  })

  test('voids, once used, what was mailed to the old address', async () => {
    const secret = await asked()
    expect((await fixture.request('POST', '/v1/password-resets', { body: { email: before } })).status).toBe(202)
    await expect.poll(() => linkTo(fixture, before).then(({ secret: code }) => code.slice(0, 3))).toBe('cr_')
    const { secret: code } = await linkTo(fixture, before)
    expect((await redeem(secret)).status).toBe(200)
    const body = { secret: code, password: NEXT }
    await refusal(await fixture.request('POST', '/v1/password-resets/redemptions', { body }), 422, 'reset-invalid')
    expect((await signIn(after)).status).toBe(201)
  })

  test('is forgotten when its time is over', async () => {
    await asked()
    await using owner = openDatabase({ url: fixture.ownerUrl, poolSize: 1 })
    await using control = openDatabase({ url: fixture.databaseUrl('control'), poolSize: 1 })
    await forgetExpired({ db: control.db } as ControlDeps)
    expect(await owner.db.$count(emailChanges, eq(emailChanges.userId, me))).toBe(1)
    await owner.sql`update email_changes set expires_at = now() - interval '1 second' where user_id = ${me}`
    await forgetExpired({ db: control.db } as ControlDeps)
    expect(await owner.db.$count(emailChanges, eq(emailChanges.userId, me))).toBe(0)
  })
})

describe('asking for another address', () => {
  test('needs a person who was there a moment ago, with a second factor where there is one', async () => {
    await refusal(await ask(after, org.tokens.member), 403, 'session-needed')
    const cli = await fixture.signIn(me, { client: 'cli' })
    await refusal(await ask(after, cli.token), 403, 'sign-in-stale')
    now += 6 * MINUTE
    await refusal(await ask(), 403, 'sign-in-stale')
    session = (await fixture.signIn(me)).token
    expect((await fixture.request('POST', '/v1/users/me/totp', { token: session })).status).toBe(201)
    await withUser(fixture.deps.db, me, (tx) => tx.execute(`update user_totp set confirmed_at = now()`))
    await refusal(await ask(), 403, 'second-factor-missing')
    session = (await fixture.signIn(me, { secondFactorAt: new Date(now) })).token
    expect((await ask()).status).toBe(202)
  })

  test('is refused in a session that one organization’s provider vouches for', async () => {
    const { token } = await fixture.signIn(me, { secondFactorAt: new Date(now), onlyOrgId: org.id })
    await refusal(await ask(after, token), 403, 'session-needed')
    await refusal(await redeem(await asked(), token), 403, 'session-needed')
  })

  test('takes an address that mail can go to, and mails nobody without end', async () => {
    for (const email of ['', 'x', '"a b"@example.test', 'a@b@example.test']) {
      await refusal(await ask(email), 422, 'request-invalid')
    }
    for (let count = 0; count < 5; count += 1) expect((await ask(`${count}.${after}`)).status).toBe(202)
    await refusal(await ask(`6.${after}`), 429, 'too-many-requests')
    const admin = (await fixture.signIn(org.userIds.admin)).token
    for (let count = 0; count < 3; count += 1) expect((await ask(after, admin)).status).toBe(202)
    await refusal(await ask(after, admin), 429, 'too-many-requests')
    expect((await ask(`1.${after}`, admin)).status).toBe(202)
  })

  test('is impossible where no mail is sent', async () => {
    await using silent = await createFixture()
    const there = await silent.createOrganization()
    const { token } = await silent.signIn(there.userIds.member)
    await refusal(await silent.request('POST', path, { token, body: { email: after } }), 503, 'mail-unavailable')
  })
})
