import { organizations, recoveryCodes, userPasswords, userTotp, withOrg, withUser } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { hashPassword } from '../src/auth/password.js'
import { totpAt } from '../src/auth/totp.js'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'

const PASSWORD = 'correct horse battery staple'
const MINUTE = 60_000

let fixture: Fixture
let org: TestOrganization
let email: string
let now: Date

beforeAll(async () => {
  fixture = await createFixture({ overrides: { now: () => now } })
})
beforeEach(async () => {
  now = new Date()
  org = await fixture.createOrganization()
  email = `${org.userIds.owner}@example.test`
})
afterAll(() => fixture[Symbol.asyncDispose]())

const me = () => org.userIds.owner
const call = (method: string, path: string, token: string, body?: unknown) =>
  fixture.request(method, path, { token, body })
const later = (milliseconds: number) => (now = new Date(now.getTime() + milliseconds))

async function setPassword(): Promise<void> {
  const hash = await hashPassword(PASSWORD)
  await withUser(fixture.deps.db, me(), (tx) => tx.insert(userPasswords).values({ userId: me(), hash }))
}

async function enrol() {
  const session = await fixture.signIn(me())
  const started = await call('POST', '/v1/users/me/totp', session.token)
  expect(started.status).toBe(201)
  const { secret: text, uri } = await started.json<{ secret: string; uri: string }>()
  expect(uri).toContain(`secret=${text}`)
  const secret = fromBase32(text)
  const confirmed = await call('POST', '/v1/users/me/totp/confirmation', session.token, { otp: code(secret) })
  expect(confirmed.status).toBe(201)
  const codes = await confirmed.json<{ recoveryCodes: string[] }>()
  return { session, secret, recoveryCodes: codes.recoveryCodes }
}

const code = (secret: Uint8Array, steps = 0) => totpAt(secret, Math.floor(now.getTime() / 30_000) + steps)

/** Codes that no clock near now shows. */
function wrongCodes(secret: Uint8Array, count = 1): string[] {
  const shown = new Set([-2, -1, 0, 1, 2].map((steps) => code(secret, steps)))
  const candidates = Array.from({ length: count + shown.size }, (_, index) => String(index).padStart(6, '0'))
  return candidates.filter((candidate) => !shown.has(candidate)).slice(0, count)
}

function fromBase32(text: string): Buffer {
  const bits = Array.from(text, (c) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0')).join(
    '',
  )
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)))
}

async function problemOf(answer: { json(): Promise<Record<string, unknown>>; status: number }) {
  return [answer.status, (await answer.json()).code]
}

describe('an authenticator app', () => {
  test('is asked for at every sign-in once its first code came back, and no code works twice', async () => {
    await setPassword()
    const { secret } = await enrol()
    const signIn = (more: object) =>
      fixture.request('POST', '/v1/sessions', { body: { email, password: PASSWORD, ...more } })
    expect(await problemOf(await signIn({}))).toEqual([403, 'second-factor-needed'])
    expect(await problemOf(await signIn({ otp: wrongCodes(secret)[0] }))).toEqual([400, 'second-factor-refused'])
    expect(await problemOf(await signIn({ otp: code(secret) }))).toEqual([400, 'second-factor-refused'])
    later(MINUTE)
    const otp = code(secret)
    const [first, second] = await Promise.all([signIn({ otp }), signIn({ otp })])
    expect([first.status, second.status].sort((a, b) => a - b)).toEqual([201, 400])
    const right = first.status === 201 ? first : second
    const { token } = await right.json<{ token: string }>()
    expect(await (await call('GET', '/v1/users/me', token)).json()).toMatchObject({ twoFactorEnabled: true })
    const wrongPassword = await fixture.request('POST', '/v1/sessions', { body: { email, password: 'x', otp } })
    expect(await problemOf(wrongPassword)).toEqual([400, 'sign-in-refused'])
  })

  test('does not count before it was confirmed, and a wrong code does not confirm it', async () => {
    const { token } = await fixture.signIn(me())
    expect(await problemOf(await call('POST', '/v1/users/me/totp/confirmation', token, { otp: '123456' }))).toEqual([
      409,
      'second-factor-not-started',
    ])
    const started = await call('POST', '/v1/users/me/totp', token)
    const { secret } = await started.json<{ secret: string }>()
    const [otp] = wrongCodes(fromBase32(secret))
    expect(await problemOf(await call('POST', '/v1/users/me/totp/confirmation', token, { otp }))).toEqual([
      400,
      'second-factor-refused',
    ])
    expect(await (await call('GET', '/v1/users/me', token)).json()).toMatchObject({ twoFactorEnabled: false })
  })

  test('ends the other sessions, and is neither replaced nor removed by an old session', async () => {
    const other = await fixture.signIn(me())
    const { session } = await enrol()
    expect((await call('GET', '/v1/users/me', other.token)).status).toBe(401)
    expect((await call('GET', '/v1/users/me', session.token)).status).toBe(200)
    expect(await problemOf(await call('POST', '/v1/users/me/totp', session.token))).toEqual([
      409,
      'second-factor-exists',
    ])
    later(6 * MINUTE)
    for (const [method, path] of [
      ['POST', '/v1/users/me/totp'],
      ['DELETE', '/v1/users/me/totp'],
      ['POST', '/v1/users/me/recovery-codes'],
    ] as const) {
      expect(await problemOf(await call(method, path, session.token))).toEqual([403, 'second-factor-stale'])
    }
  })

  test('is removed with a fresh factor, and then nothing of the person counts as having one', async () => {
    const { session, recoveryCodes: codes } = await enrol()
    expect((await call('DELETE', '/v1/users/me/totp', session.token)).status).toBe(204)
    expect(await (await call('GET', '/v1/users/me', session.token)).json()).toMatchObject({ twoFactorEnabled: false })
    const listed = await (await call('GET', '/v1/sessions', session.token)).json<{ twoFactor: boolean }[]>()
    expect(listed).toMatchObject([{ twoFactor: false, secondFactorAt: null }])
    const refused = await call('POST', '/v1/sessions/current/second-factor', session.token, { recoveryCode: codes[0] })
    expect(await problemOf(refused)).toEqual([400, 'second-factor-refused'])
  })

  test('cannot be set up by an API token, nor by a session of a command line, nor by one that was left open', async () => {
    const path = '/v1/users/me/totp'
    expect(await problemOf(await call('POST', path, org.tokens.owner))).toEqual([403, 'session-needed'])
    const cli = await fixture.signIn(me(), { client: 'cli' })
    expect(await problemOf(await call('POST', path, cli.token))).toEqual([403, 'sign-in-stale'])
    const page = await fixture.signIn(me())
    later(6 * MINUTE)
    expect(await problemOf(await call('POST', path, page.token))).toEqual([403, 'sign-in-stale'])
  })

  test('keeps its secret sealed to its person, and recovery codes as hashes', async () => {
    const { secret, recoveryCodes: codes } = await enrol()
    const stored = await withUser(fixture.deps.db, me(), async (tx) => ({
      totp: await tx.select().from(userTotp),
      codes: await tx.select().from(recoveryCodes),
    }))
    expect(Buffer.from(stored.totp[0]!.sealedSecret).includes(secret)).toBe(false)
    expect(new Set(codes).size).toBe(10)
    for (const each of codes) expect(JSON.stringify(stored.codes)).not.toContain(each.replaceAll('-', ''))
  })
})

describe('a recovery code', () => {
  test('stands in once; new ones end the old', async () => {
    const { session, recoveryCodes: codes } = await enrol()
    const confirm = (recoveryCode: string) =>
      call('POST', '/v1/sessions/current/second-factor', session.token, { recoveryCode })
    later(10 * MINUTE)
    const attempts = await Promise.all([confirm(codes[0]!), confirm(codes[0]!), confirm(codes[0]!.toUpperCase())])
    expect(attempts.map((answer) => answer.status).sort((a, b) => a - b)).toEqual([204, 400, 400])
    const renewed = await call('POST', '/v1/users/me/recovery-codes', session.token)
    expect(renewed.status).toBe(201)
    const { recoveryCodes: fresh } = await renewed.json<{ recoveryCodes: string[] }>()
    expect((await confirm(codes[1]!)).status).toBe(400)
    expect((await confirm(fresh[1]!)).status).toBe(204)
  })

  test('cannot be guessed by asking many times at once', async () => {
    const { session, secret } = await enrol()
    const guesses = wrongCodes(secret, 40).map((otp) =>
      call('POST', '/v1/sessions/current/second-factor', session.token, { otp }),
    )
    const answers = await Promise.all(guesses)
    expect(answers.filter(({ status }) => status === 429).length).toBeGreaterThanOrEqual(30)
  })

  test('cannot be guessed without end', async () => {
    const { session, secret } = await enrol()
    const [otp] = wrongCodes(secret)
    const guess = () => call('POST', '/v1/sessions/current/second-factor', session.token, { otp })
    for (let attempt = 0; attempt < 10; attempt += 1) expect((await guess()).status).toBe(400)
    expect(await problemOf(await guess())).toEqual([429, 'too-many-requests'])
  })
})

describe('what is sensitive', () => {
  const rotate = (token: string) => call('PATCH', `/v1/organizations/${org.id}`, token, { stepUpRequired: true })

  test('is refused to a token, to a session without factor, and to one whose factor is six minutes old', async () => {
    expect(await problemOf(await rotate(org.tokens.owner))).toEqual([403, 'session-needed'])
    const plain = await fixture.signIn(me())
    expect(await problemOf(await rotate(plain.token))).toEqual([403, 'second-factor-missing'])
    const session = await fixture.signIn(me(), { secondFactorAt: now })
    later(6 * MINUTE)
    expect(await problemOf(await rotate(session.token))).toEqual([403, 'second-factor-stale'])
    later(-2 * MINUTE)
    expect((await rotate(session.token)).status).toBe(200)
  })

  test('opens again with a code', async () => {
    const { session, secret } = await enrol()
    later(30 * MINUTE)
    expect(await problemOf(await rotate(session.token))).toEqual([403, 'second-factor-stale'])
    const confirmed = await call('POST', '/v1/sessions/current/second-factor', session.token, { otp: code(secret) })
    expect(confirmed.status).toBe(204)
    expect((await rotate(session.token)).status).toBe(200)
  })

  test('includes credentials where the organization says so, and leaves the command line alone where it does not', async () => {
    const app = await call('POST', '/v1/apps', org.tokens.owner, { name: 'Shop', type: 'android' })
    const { id } = await app.json<{ id: string }>()
    const create = (token: string) =>
      fixture.request('POST', `/v1/apps/${id}/certificates`, { token, body: new FormData() })
    expect((await create(org.tokens.owner)).status).toBe(422)
    await withOrg(fixture.deps.db, org.id, (tx) =>
      tx.update(organizations).set({ stepUpRequired: true }).where(eq(organizations.id, org.id)),
    )
    expect(await problemOf(await create(org.tokens.owner))).toEqual([403, 'session-needed'])
    const session = await fixture.signIn(me(), { secondFactorAt: now })
    expect((await create(session.token)).status).toBe(422)
  })
})

describe('sessions', () => {
  test('are listed with what they are, and end one by one or all but this', async () => {
    const [a, b, c] = [
      await fixture.signIn(me()),
      await fixture.signIn(me(), { client: 'cli' }),
      await fixture.signIn(me()),
    ]
    const listed = await (await call('GET', '/v1/sessions', a.token)).json<{ id: string; current: boolean }[]>()
    expect(listed.map(({ id }) => id).sort()).toEqual([a.id, b.id, c.id].sort())
    expect(listed.filter(({ current }) => current).map(({ id }) => id)).toEqual([a.id])
    expect((await call('DELETE', `/v1/sessions/${b.id}`, a.token)).status).toBe(204)
    expect((await call('GET', '/v1/users/me', b.token)).status).toBe(401)
    expect(await (await call('DELETE', '/v1/sessions', a.token)).json()).toEqual({ ended: 1 })
    expect((await call('GET', '/v1/users/me', c.token)).status).toBe(401)
    expect((await call('GET', '/v1/users/me', a.token)).status).toBe(200)
  })

  test('of somebody else do not end, and the log names what happened', async () => {
    const mine = await fixture.signIn(me())
    const theirs = await fixture.signIn(org.userIds.admin)
    expect((await call('DELETE', `/v1/sessions/${theirs.id}`, mine.token)).status).toBe(204)
    expect((await call('GET', '/v1/users/me', theirs.token)).status).toBe(200)
    await call('DELETE', `/v1/sessions/${mine.id}`, mine.token)
    const log = await fixture.request('GET', `/v1/organizations/${org.id}/audit-events`, { token: org.tokens.owner })
    const events = (await log.json<{ event: string }[]>()).map(({ event }) => JSON.parse(event) as { action: string })
    expect(events.filter(({ action }) => action === 'session.ended')).toHaveLength(1)
    expect(events.filter(({ action }) => action === 'session.opened')).toHaveLength(2)
    expect(JSON.stringify(events)).not.toContain('@example.test')
  })
})
