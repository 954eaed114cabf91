import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import {
  credentialVersions,
  deviceCodes,
  mails,
  type OpenDatabase,
  openDatabase,
  passwordResets,
  userPasswords,
  withOrg,
  withUser,
} from '@capstan/migrations'
import { eq, sql } from 'drizzle-orm'
import { SMTPServer, type SMTPServerOptions } from 'smtp-server'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { hashPassword } from '../src/auth/password.js'
import { totpAt } from '../src/auth/totp.js'
import type { ControlDeps } from '../src/control/control-deps.js'
import { forgetExpired } from '../src/control/forget-expired.js'
import { giveExpiryNotices } from '../src/control/give-expiry-notices.js'
import { sendMails } from '../src/control/send-mails.js'
import { type Mailer, openMailer } from '../src/mails/open-mailer.js'
import { addCertificate, createTestApp } from './build-fixture.js'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import { createOperator } from './operator-calls.js'

const run = promisify(execFile)
const PASSWORD = 'correct horse battery staple'
const DAY_MS = 86_400_000
type Mail = { to: string[]; from: string; text: string }

let folder: string
let server: SMTPServer
let mailer: Mailer
let fixture: Fixture
let control: OpenDatabase
let deps: ControlDeps
let org: TestOrganization
let owner: string
let arrived: Mail[] = []
/** What the server answers to a recipient; null: yes. */
let refusal: number | null = null

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'capstan-mails-'))
  server = await listen({ disabledCommands: ['AUTH'] })
  mailer = mailerOf(server)
  fixture = await createFixture({ overrides: { mailKey: Buffer.from('0123456789abcdef0123456789abcdef') } })
  control = openDatabase({ url: fixture.databaseUrl('control'), poolSize: 4 })
  const { log, publicUrl, mailKey } = fixture.deps
  deps = { db: control.db, log, publicUrl, mailKey, now: () => new Date() } as ControlDeps
})
beforeEach(async () => {
  ;[arrived, refusal] = [[], null]
  await control.db.delete(mails)
  org = await fixture.createOrganization('Ground\r\nBcc: everybody@example.test')
  owner = (await fixture.signIn(org.userIds.owner, { secondFactorAt: new Date() })).token
})
afterAll(async () => {
  mailer.close()
  await close(server)
  await control[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

/** A mail server that others wrote; what it takes is in `arrived`. */
async function listen(options: SMTPServerOptions, host = '127.0.0.1'): Promise<SMTPServer> {
  const made = new SMTPServer({
    authOptional: true,
    onRcptTo: (_to, _session, done) =>
      done(refusal === null ? null : Object.assign(new Error('refused'), { responseCode: refusal })),
    onData: (stream, session, done) => {
      let raw = ''
      stream.setEncoding('utf8').on('data', (part: string) => (raw += part))
      stream.on('end', () => {
        const { rcptTo, mailFrom } = session.envelope
        const headersEnd = raw.indexOf('\r\n\r\n')
        const text = raw.slice(0, headersEnd) + decode(raw.slice(headersEnd))
        arrived.push({ to: rcptTo.map(({ address }) => address), from: mailFrom ? mailFrom.address : '', text })
        done()
      })
    },
    ...options,
  })
  made.on('error', () => {})
  await new Promise<void>((resolve) => void made.listen(0, host, resolve))
  return made
}
/** Quoted-printable. */
const decode = (body: string) =>
  body
    .replaceAll(/=\r\n/g, '')
    .replaceAll(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCodePoint(Number.parseInt(hex, 16)))
const close = (which: SMTPServer) =>
  new Promise<void>((resolve) => {
    which.close(() => resolve())
  })
const portOf = (which: SMTPServer) => (which.server.address() as { port: number }).port
const mailerOf = (which: SMTPServer) =>
  openMailer({ url: new URL(`smtp://127.0.0.1:${portOf(which)}`), from: 'capstan@example.test', password: undefined })

const pass = () => sendMails(deps, mailer, deps.mailKey)
const untilDue = () => control.db.update(mails).set({ nextAttemptAt: sql`now() - interval '1 second'` })
const emailOf = (role: keyof TestOrganization['userIds']) => `${org.userIds[role]}@example.test`
const secretIn = (kind: string) => {
  const found = arrived.at(-1)?.text.match(new RegExp(`\\b${kind}_[0-9A-Za-z]{36}\\b`))?.[0]
  if (!found) throw new Error('The mail bears no code.')
  return found
}
const invite = (email: string) =>
  fixture.request('POST', `/v1/organizations/${org.id}/invitations`, { token: owner, body: { email, role: 'member' } })
const waiting = () => control.db.select().from(mails)

async function givePassword(userId = org.userIds.owner): Promise<void> {
  const hash = await hashPassword(PASSWORD)
  await withUser(fixture.deps.db, userId, (tx) => tx.insert(userPasswords).values({ userId, hash }))
}
const signIn = (password: string, more: object = {}) =>
  fixture.request('POST', '/v1/sessions', { body: { email: emailOf('owner'), password, ...more } })
const forget = (email: string) => fixture.request('POST', '/v1/password-resets', { body: { email } })
const redeem = (secret: string, password: string) =>
  fixture.request('POST', '/v1/password-resets/redemptions', { body: { secret, password } })
/** Asked for and mailed; the request itself does not wait for it. */
async function resetSecret(): Promise<string> {
  const before = arrived.length
  expect((await forget(emailOf('owner').toUpperCase())).status).toBe(202)
  await expect.poll(async () => (await waiting()).filter(({ status }) => status === 'pending').length).toBe(1)
  await pass()
  expect(arrived.length).toBe(before + 1)
  return secretIn('cr')
}

describe('a mail', () => {
  test('goes to who was invited, once, and bears the invitation; nothing of it stays', async () => {
    expect((await invite('ada@example.test')).status).toBe(201)
    const [left] = await waiting()
    expect(Buffer.from(left!.sealed!).toString('latin1')).not.toMatch(/ada@|cj_[0-9A-Za-z]{20}/)
    expect([await pass(), await pass()]).toEqual([1, 0])
    expect(arrived).toHaveLength(1)
    expect(arrived[0]).toMatchObject({ to: ['ada@example.test'], from: 'capstan@example.test' })
    // A name makes no header and no line of its own.
    expect(arrived[0]?.text).not.toMatch(/^Bcc:/m)
    // A page, with the code where neither servers nor logs see it.
    expect(arrived[0]?.text).toMatch(/^http:\/\/capstan\.test\/join#cj_\w{36}\r?$/m)
    expect(arrived[0]?.text).toMatch(new RegExp(`^message-id: <${left!.id}@example.test>`, 'im'))
    expect((await waiting()).map(({ status, sealed }) => [status, sealed])).toEqual([['sent', null]])
    const joined = await fixture.request('POST', '/v1/invitations/accounts', {
      body: { secret: secretIn('cj'), password: PASSWORD, name: 'Ada' },
    })
    expect(joined.status).toBe(201)
  })

  test('of what was not committed is not sent', async () => {
    expect((await invite(emailOf('viewer'))).status).toBe(409)
    expect([await pass(), arrived]).toEqual([0, []])
  })

  test('that the server cannot take now is tried again; one that it refuses for good is given up', async () => {
    await invite('later@example.test')
    refusal = 450
    expect(await pass()).toBe(0)
    expect(await pass()).toBe(0)
    expect((await waiting())[0]).toMatchObject({
      status: 'pending',
      attempts: 1,
      lastFailure: expect.stringMatching('450'),
    })
    ;[refusal] = [null]
    await untilDue()
    expect(await pass()).toBe(1)
    await invite('never@example.test')
    refusal = 550
    expect(await pass()).toBe(0)
    expect((await waiting()).map(({ status }) => status).sort()).toEqual(['failed', 'sent'])
    expect(arrived.map(({ to }) => to)).toEqual([['later@example.test']])
  })

  test('is handed over by one process at a time, and by another where one has died on the way', async () => {
    await invite('one@example.test')
    const sent = await Promise.all([pass(), pass(), pass()])
    expect(sent.reduce((sum, one) => sum + one, 0)).toBe(1)
    expect(arrived).toHaveLength(1)
    await invite('two@example.test')
    await control.db
      .update(mails)
      .set({ attempts: 1, nextAttemptAt: sql`now() + interval '5 minutes'` })
      .where(eq(mails.status, 'pending'))
    expect(await pass()).toBe(0)
    await untilDue()
    expect(await pass()).toBe(1)
  })

  test('is not sent when its time is over, and leaves no trace after a month', async () => {
    await invite('late@example.test')
    await using database = openDatabase({ url: fixture.ownerUrl, poolSize: 1 })
    await database.db.execute(sql`update mails set expires_at = now() - interval '1 second'`)
    expect([await pass(), arrived]).toEqual([0, []])
    expect((await waiting()).map(({ status, sealed }) => [status, sealed])).toEqual([['failed', null]])
    await forgetExpired(deps)
    expect(await waiting()).toHaveLength(1)
    await control.db.update(mails).set({ settledAt: sql`now() - interval '31 days'` })
    await forgetExpired(deps)
    expect(await waiting()).toHaveLength(0)
  })

  test('is left by nobody where this server sends none', async () => {
    const silent = await createFixture()
    const there = await silent.createOrganization()
    const token = (await silent.signIn(there.userIds.owner, { secondFactorAt: new Date() })).token
    const body = { email: 'ada@example.test', role: 'member' }
    const invited = await silent.request('POST', `/v1/organizations/${there.id}/invitations`, { token, body })
    expect(invited.status).toBe(201)
    await using database = openDatabase({ url: silent.ownerUrl, poolSize: 1 })
    expect(await database.db.$count(mails)).toBe(0)
    const refused = await silent.request('POST', '/v1/password-resets', { body: { email: 'ada@example.test' } })
    expect([refused.status, (await refused.json()).code]).toEqual([503, 'mail-unavailable'])
    await silent[Symbol.asyncDispose]()
  })
})

describe('a forgotten password', () => {
  test('is set anew with a code, once; every session ends, and the person is told', async () => {
    await givePassword()
    const secret = await resetSecret()
    const confirmed = await (await fixture.request('POST', '/v1/sessions/codes')).json<{ id: string }>()
    await using database = openDatabase({ url: fixture.ownerUrl, poolSize: 1 })
    await database.db.update(deviceCodes).set({ state: 'approved', userId: org.userIds.owner })
    const [stored] = await withUser(fixture.deps.db, org.userIds.owner, (tx) => tx.select().from(passwordResets))
    expect(stored?.tokenHash).not.toContain(secret)
    expect((await redeem(secret, 'short')).status).toBe(422)
    const other = 'another horse battery'
    const both = await Promise.all([redeem(secret, other), redeem(secret, other)])
    expect(both.map(({ status }) => status).sort((a, b) => a - b)).toEqual([204, 422])
    expect((await fixture.request('GET', '/v1/users/me', { token: owner })).status).toBe(401)
    const late = await fixture.request('POST', '/v1/sessions', { body: { provider: 'code', code: confirmed.id } })
    expect((await late.json()).code).toBe('sign-in-denied')
    expect((await signIn(PASSWORD)).status).toBe(400)
    expect((await signIn(other)).status).toBe(201)
    await pass()
    expect(arrived.at(-1)?.text).toContain('Your password was set anew')
    expect((await (await redeem(secret, PASSWORD)).json()).code).toBe('reset-invalid')
    const audit = `/v1/organizations/${org.id}/audit-events?action=password.reset`
    const log = await fixture.request('GET', audit, { token: org.tokens.owner })
    expect(await log.json()).toHaveLength(1)
  })

  test('leaves the second factor asked for', async () => {
    await givePassword()
    const session = owner
    const started = await fixture.request('POST', '/v1/users/me/totp', { token: session })
    const { secret: text } = await started.json<{ secret: string }>()
    const bits = Array.from(text, (c) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0'))
    const key = Buffer.from((bits.join('').match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)))
    const code = (steps: number) => totpAt(key, Math.floor(Date.now() / 30_000) + steps)
    const confirmed = await fixture.request('POST', '/v1/users/me/totp/confirmation', {
      token: session,
      body: { otp: code(0) },
    })
    expect(confirmed.status).toBe(201)
    await pass()
    expect(arrived.at(-1)).toMatchObject({ to: [emailOf('owner')], text: expect.stringContaining('factor was added') })
    const other = 'another horse battery'
    expect((await redeem(await resetSecret(), other)).status).toBe(204)
    const refused = await signIn(other)
    expect((await refused.json()).code).toBe('second-factor-needed')
    expect((await signIn(other, { otp: code(1) })).status).toBe(201)
  })

  test('has a code that is void when another one was asked for, and after half an hour', async () => {
    await givePassword()
    const [first, second] = [await resetSecret(), await resetSecret()]
    expect((await redeem(first, 'another horse battery')).status).toBe(422)
    await using database = openDatabase({ url: fixture.ownerUrl, poolSize: 1 })
    const [row] = await database.db.execute<{ minutes: number }>(
      sql`select extract(epoch from expires_at - created_at) / 60 as minutes from password_resets`,
    )
    expect(Math.round(Number(row?.minutes))).toBe(30)
    await database.db.execute(sql`update password_resets set expires_at = now() - interval '1 second'`)
    expect((await redeem(second, 'another horse battery')).status).toBe(422)
    expect((await signIn(PASSWORD)).status).toBe(201)
    await forgetExpired(deps)
    expect(await database.db.$count(passwordResets)).toBe(0)
  })

  test('has a code that is void when the password is changed by who knows it', async () => {
    await givePassword()
    const secret = await resetSecret()
    const body = { password: PASSWORD, newPassword: 'another horse battery' }
    expect((await fixture.request('PUT', '/v1/users/me/password', { token: owner, body })).status).toBe(200)
    expect((await (await redeem(secret, PASSWORD)).json()).code).toBe('reset-invalid')
    expect((await signIn(body.newPassword)).status).toBe(201)
  })

  test('is answered alike for everybody, and mailed to nobody who has none', async () => {
    await givePassword()
    // Known without a password, unknown, and known with one: told apart by the letterbox alone.
    const addresses = [emailOf('viewer'), 'nobody@example.test', emailOf('owner')]
    const answers = await Promise.all(addresses.map(forget))
    expect(answers.map(({ status }) => status)).toEqual([202, 202, 202])
    expect(new Set(await Promise.all(answers.map((answer) => answer.text()))).size).toBe(1)
    await expect.poll(async () => (await waiting()).length).toBe(1)
    await pass()
    expect(arrived.map(({ to }) => to)).toEqual([[emailOf('owner')]])
    for (let more = 0; more < 5; more += 1) expect((await forget(emailOf('owner'))).status).toBe(202)
    // A letterbox is not filled from here: three at once.
    await expect.poll(async () => (await waiting()).length).toBe(3)
    for (const secret of ['', 'cr_x', `cr_${'A'.repeat(36)}`, org.tokens.owner]) {
      expect((await redeem(secret, PASSWORD)).status).toBe(422)
    }
  })
})

describe('administrators are written to', () => {
  test('when a credential expires soon, and when there is a notice of an incident', async () => {
    const app = await createTestApp(fixture, org)
    const id = await addCertificate(fixture, app, 'Release')
    const expiresAt = new Date(Date.now() + 6 * DAY_MS)
    await withOrg(fixture.deps.db, org.id, (tx) =>
      tx.update(credentialVersions).set({ expiresAt }).where(eq(credentialVersions.credentialId, id)),
    )
    expect([await giveExpiryNotices(deps), await giveExpiryNotices(deps)]).toEqual([1, 0])
    await pass()
    const administrators = [emailOf('owner'), emailOf('admin')].sort()
    expect(arrived.flatMap(({ to }) => to).sort()).toEqual(administrators)
    expect(arrived[0]?.text).toContain('"Release"')
    arrived = []
    const operator = await createOperator(fixture)
    const call = (path: string, body: object) =>
      fixture.request('POST', `/operator/v1/incidents${path}`, { token: operator.token, body })
    const begun = await call('', { title: 'x', classes: ['other'], awareAt: new Date().toISOString(), evidence: 'x' })
    const incident = await begun.json<{ id: string }>()
    const [from, to] = [-1, 1].map((days) => new Date(Date.now() + days * DAY_MS).toISOString())
    await call(`/${incident.id}/assessment`, { from, to, target: id })
    expect((await call(`/${incident.id}/notices`, { kind: 'personal_data', message: 'Secret facts.' })).status).toBe(
      201,
    )
    await pass()
    expect(arrived.flatMap(({ to }) => to).sort()).toEqual(administrators)
    // What happened is read signed in.
    expect(arrived[0]?.text).not.toContain('Secret facts.')
  })
})

describe('the mail server', () => {
  const LETTER = { to: 'ada@example.test', subject: 'x', text: 'x' }
  const FAR = '127.0.0.2'

  /** An address that is not taken for this machine, with a certificate that only who was told of it trusts. */
  async function certified() {
    const [key, cert] = [join(folder, 'mail.key'), join(folder, 'mail.crt')]
    const subject = ['-subj', '/CN=mail', '-addext', `subjectAltName=IP:${FAR}`]
    const args = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-keyout', key, '-out', cert]
    await run('openssl', [...args, ...subject])
    return { cert, pem: { key: await readFile(key, 'utf8'), cert: await readFile(cert, 'utf8') } }
  }
  const send = async (url: string) => {
    const one = openMailer({ url: new URL(url), from: 'capstan@example.test', password: undefined })
    const outcome = await one.send('id', LETTER)
    one.close()
    return outcome
  }

  test('elsewhere is sent nothing without TLS, nor with a certificate that nobody vouches for', async () => {
    const plain = await listen({ disabledCommands: ['AUTH', 'STARTTLS'] }, FAR)
    const { cert, pem } = await certified()
    const starttls = await listen({ ...pem, disabledCommands: ['AUTH'] }, FAR)
    const tls = await listen({ ...pem, secure: true, disabledCommands: ['AUTH'] }, FAR)
    const urls = [`smtp://${FAR}:${portOf(starttls)}`, `smtps://${FAR}:${portOf(tls)}`]
    for (const url of [`smtp://${FAR}:${portOf(plain)}`, ...urls]) {
      expect([url, (await send(url)).failure]).not.toEqual([url, null])
    }
    expect(arrived).toEqual([])
    // The twin: a process that was told of the authority.
    const module = new URL('../dist/mails/open-mailer.js', import.meta.url).href
    const script = `
      const { openMailer } = await import(${JSON.stringify(module)})
      for (const url of ${JSON.stringify(urls)}) {
        const mailer = openMailer({ url: new URL(url), from: 'capstan@example.test', password: undefined })
        console.log(JSON.stringify(await mailer.send('id', ${JSON.stringify(LETTER)})))
        mailer.close()
      }`
    const env = { ...process.env, NODE_EXTRA_CA_CERTS: cert }
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], { env })
    expect(stdout.trim().split('\n')).toEqual(urls.map(() => '{"failure":null,"permanent":false}'))
    expect(arrived).toHaveLength(2)
    await Promise.all([plain, starttls, tls].map(close))
  })

  test('is given the user and the password of the file', async () => {
    const seen: unknown[] = []
    const guarded = await listen({
      authOptional: false,
      allowInsecureAuth: true,
      onAuth: ({ username, password }, _session, done) => {
        seen.push([username, password])
        done(null, password === 'right' ? { user: username } : undefined)
      },
    })
    const url = new URL(`smtp://robot%40example.test@127.0.0.1:${portOf(guarded)}`)
    for (const password of ['right', 'wrong']) {
      const one = openMailer({ url, from: 'capstan@example.test', password })
      const { failure, permanent } = await one.send('id', LETTER)
      expect([failure === null, permanent]).toEqual([password === 'right', false])
      expect(failure ?? '').not.toContain(password)
      one.close()
    }
    expect(seen).toContainEqual(['robot@example.test', 'right'])
    await close(guarded)
  })

  test('is given no address that could be read in two ways', async () => {
    for (const to of [
      '"a@b.example x"@c.example',
      'a(x)@b.example',
      'a@b.example, c@d.example',
      'a@b.example\r\nRCPT',
    ]) {
      expect(await mailer.send('id', { ...LETTER, to })).toMatchObject({ permanent: true })
    }
    expect(arrived).toEqual([])
  })
})
