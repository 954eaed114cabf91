import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { memberships, organizations, userPasswords, withOrg, withUser } from '@capstan/migrations'
import { serve, type ServerType } from '@hono/node-server'
import { eq } from 'drizzle-orm'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { hashPassword } from '../src/auth/password.js'
import { openBrowser } from './browser.js'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import { linkTo, MAIL_KEY, mailsTo } from './waiting-mails.js'
import { enrolTotp } from './enrol-totp.js'

const PASSWORD = 'correct horse battery'
const NEXT = 'another horse battery'
const PHONE = { viewport: { width: 360, height: 640 }, hasTouch: true, isMobile: true }

let fixture: Fixture
let server: ServerType
let browser: Browser
let org: TestOrganization
let owner: string
let page: Page
/** Addresses that the server was asked for, each with where it was asked from. */
let asked: string[]
let complaints: string[]

beforeAll(async () => {
  fixture = await createFixture({ overrides: { mailKey: MAIL_KEY } })
  // One browser is one network: what it may do in a minute is not tested here.
  let callers = 0
  const fetch = (request: Request) => {
    asked.push(`${request.url} ${request.headers.get('referer') ?? ''}`)
    callers += 1
    return fixture.app.fetch(request, {
      incoming: { socket: { remoteAddress: `198.51.${callers >> 8}.${callers & 255}` } },
    })
  }
  server = serve({ fetch, hostname: '127.0.0.1', port: 0 })
  if (!server.listening) await once(server, 'listening')
  fixture.deps.publicUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  browser = await openBrowser()
})
beforeEach(async () => {
  ;[asked, complaints] = [[], []]
  org = await fixture.createOrganization('Acme & Söhne')
  owner = (await fixture.signIn(org.userIds.owner, { secondFactorAt: new Date() })).token
  await openPage()
})
afterEach(async () => {
  // The one message is of the icon that browsers ask every site for.
  expect(complaints).toEqual([])
  await page.context().close()
})
afterAll(async () => {
  await browser?.close()
  server?.close()
  if (server && 'closeAllConnections' in server) server.closeAllConnections()
  await fixture[Symbol.asyncDispose]()
})

async function openPage(options: BrowserContextOptions = {}): Promise<void> {
  await page?.context().close()
  page = await (await browser.newContext(options)).newPage()
  const isExpected = (text: string) => /status of (?:400|404)/.test(text)
  page.on(
    'console',
    (message) => message.type() === 'error' && !isExpected(message.text()) && complaints.push(message.text()),
  )
  page.on('pageerror', (error) => complaints.push(error.message))
}

/** As from a mail: by a link on a page of somebody else, with which browsers send no cookie of ours. */
async function follow(link: string): Promise<void> {
  await page.goto('about:blank')
  await page.setContent(`<a href="${link}">the link of the mail</a>`)
  await page.click('a')
}
const heading = (text: string) => page.waitForSelector(`h1:text-is(${JSON.stringify(text)})`)
const noticed = () => page.textContent('.notice:not(:empty)')
const press = (name: string) => page.getByRole('button', { name, exact: true }).click()

async function invite(email: string, role = 'viewer'): Promise<{ link: string; secret: string; id: string }> {
  const path = `/v1/organizations/${org.id}/invitations`
  const answer = await fixture.request('POST', path, { token: owner, body: { email, role } })
  expect(answer.status).toBe(201)
  const { id } = await answer.json<{ id: string }>()
  return { id, ...(await linkTo(fixture, email)) }
}

async function person(role: keyof TestOrganization['userIds'], of = org) {
  const userId = of.userIds[role]
  const hash = await hashPassword(PASSWORD)
  await withUser(fixture.deps.db, userId, (tx) => tx.insert(userPasswords).values({ userId, hash }))
  return { userId, email: `${userId}@example.test` }
}
const somebodyElse = async () => person('member', await fixture.createOrganization('Elsewhere'))

async function signIn(email: string, { password = PASSWORD, factor = '' } = {}): Promise<void> {
  await page.fill('#email', email)
  await page.fill('#password', password)
  await page.fill('#factor', factor)
  await press('Sign in')
}
const roleOf = async (userId: string) =>
  (
    await (
      await fixture.request('GET', `/v1/organizations/${org.id}/members/${userId}`, { token: owner })
    ).json<{ role?: string }>()
  ).role
const logIn = (email: string, password: string) =>
  fixture.request('POST', '/v1/sessions', { body: { email, password } })

/** What a screen reader and a phone need of the page that is shown. */
async function expectUsable(): Promise<void> {
  const found = await page.evaluate(INSPECT)
  expect(found).toEqual({ lang: 'en', headings: 1, nameless: [], wide: false, viewport: true })
}

describe('the page of an invitation', () => {
  test('lets a person without an account make one, by keyboard, on a phone', async () => {
    await openPage(PHONE)
    const email = 'ada@example.test'
    const { link, secret } = await invite(email, 'member')
    await follow(link)
    await heading('Join Acme & Söhne?')
    expect(await page.textContent('dl')).toMatch(/member\s+Invited by\s+[\da-f-]+@example\.test/)
    await expectUsable()
    expect(await page.getByLabel('E-mail address', { exact: true }).last().inputValue()).toBe(email)
    await page.getByLabel('Name that others see').focus()
    await page.keyboard.type('Ada')
    await page.keyboard.press('Tab')
    await page.keyboard.type('short')
    await page.keyboard.press('Enter')
    // The browser itself refuses, as it was told the rule.
    expect(await page.locator('#new-password:invalid').count()).toBe(1)
    await page.keyboard.type(PASSWORD.slice(5))
    await page.keyboard.press('Enter')
    await heading('Joined')
    await expectUsable()
    expect(page.url() + asked.join(' ')).not.toContain(secret)
    expect((await logIn(email, `short${PASSWORD.slice(5)}`)).status).toBe(201)
    await page.click('text="Sign in with your new password"')
    await signIn(email, { password: `short${PASSWORD.slice(5)}` })
    await page.waitForSelector('#code')
  })

  test('lets who is signed in accept it, and tells a member that they are one', async () => {
    const { email, userId } = await somebodyElse()
    await page.goto(`${fixture.deps.publicUrl}/login/device`)
    await signIn(email)
    await page.waitForSelector('#code')
    await follow((await invite('whoever@example.test', 'billing')).link)
    await heading('Join Acme & Söhne?')
    expect(await page.textContent('main')).toContain(`signed in as ${email}`)
    expect(await page.locator('#new-password').count()).toBe(0)
    await expectUsable()
    await press('Accept')
    await heading('Joined')
    expect(await roleOf(userId)).toBe('billing')
    await follow((await invite('another@example.test')).link)
    await press('Accept')
    await heading('This did not work')
    expect(await noticed()).toContain('a member of this organization already')
  })

  test('lets who has an account sign in first, with a second factor where there is one', async () => {
    const { email, userId } = await somebodyElse()
    const { recoveryCodes } = await enrolTotp(fixture, userId)
    const { link } = await invite(email)
    await follow(link)
    await heading('Join Acme & Söhne?')
    await signIn(email, { password: 'wrong horse battery' })
    expect(await noticed()).toBe('E-mail address or password is wrong.')
    await signIn(email)
    expect(await noticed()).toContain('A second factor is needed')
    // Making another account for the address is refused with the same way on.
    await page.fill('#new-password', NEXT)
    await press('Make an account and join')
    expect(await noticed()).toContain('There is an account with this e-mail address.')
    expect(await roleOf(userId)).toBeUndefined()
    await signIn(email, { factor: recoveryCodes[0]! })
    await press('Accept')
    await heading('Joined')
    expect(await roleOf(userId)).toBe('viewer')
  })

  test('works without scripts: the code is typed', async () => {
    await openPage({ javaScriptEnabled: false })
    const { link, secret } = await invite('quiet@example.test')
    await page.goto(link)
    await page.getByLabel('Code of your invitation').fill(` ${secret} `)
    await press('Continue')
    await heading('Join Acme & Söhne?')
    await page.fill('#new-password', PASSWORD)
    await press('Make an account and join')
    await heading('Joined')
    expect((await logIn('quiet@example.test', PASSWORD)).status).toBe(201)
  })

  test('declines it for good', async () => {
    const { link, id } = await invite('no@example.test')
    await follow(link)
    await press('Decline this invitation')
    await heading('Declined')
    expect(await page.textContent('main')).toContain('ask whoever invited you for another one')
    const listed = await fixture.request('GET', `/v1/organizations/${org.id}/invitations?status=rejected`, {
      token: owner,
    })
    expect(await listed.json()).toMatchObject([{ id }])
    await follow(link)
    await heading('This did not work')
  })

  test('says that one which was withdrawn, has expired or was used counts no more, and what to do', async () => {
    const [withdrawn, expired, open] = [
      await invite('w@example.test'),
      await invite('x@example.test'),
      await invite('y@example.test'),
    ]
    const path = `/v1/organizations/${org.id}/invitations/${withdrawn.id}`
    expect((await fixture.request('DELETE', path, { token: owner })).status).toBe(204)
    const { now } = fixture.deps
    for (const { link } of [withdrawn, expired, { link: `${fixture.deps.publicUrl}/join#cj_${'A'.repeat(36)}` }]) {
      if (link === expired.link) fixture.deps.now = () => new Date(now().getTime() + 8 * 86_400_000)
      await follow(link)
      await heading('This did not work')
      fixture.deps.now = now
      expect(await noticed()).toContain('was used, canceled, or has expired. Ask for another one.')
      expect(await page.textContent('main')).toContain('If you have joined with it before, you are in: sign in.')
      await expectUsable()
    }
    await follow(open.link)
    await heading('Join Acme & Söhne?')
    // Withdrawn while it is looked at.
    const late = `/v1/organizations/${org.id}/invitations/${open.id}`
    expect((await fixture.request('DELETE', late, { token: owner })).status).toBe(204)
    await page.fill('#new-password', PASSWORD)
    await press('Make an account and join')
    await heading('This did not work')
  })

  test('joins nobody by what a provider of one organization vouched for', async () => {
    const { secret } = await invite('p@example.test')
    const { userId } = await somebodyElse()
    const form = async (onlyOrgId: string | null) => {
      const { token } = await fixture.signIn(userId, { client: 'page', onlyOrgId })
      const headers = {
        origin: fixture.deps.publicUrl,
        'content-type': 'application/x-www-form-urlencoded',
        cookie: `__Host-capstan=${token}`,
      }
      return (path: string) => fixture.request('POST', path, { headers, body: `secret=${secret}` })
    }
    const bound = await form(org.id)
    expect(await (await bound('/join')).text()).not.toContain('action="/join/acceptance"')
    const refused = await bound('/join/acceptance')
    expect([refused.status, await refused.text()]).toEqual([400, expect.stringContaining('in one organization only')])
    expect(await (await (await form(null))('/join/acceptance')).text()).toContain('You belong to the organization now')
  })
})

describe('what the page shows of an invitation', () => {
  const look = (secret: string, address?: string) =>
    fixture.request('POST', '/join', {
      headers: { origin: fixture.deps.publicUrl, 'content-type': 'application/x-www-form-urlencoded' },
      body: `secret=${secret}`,
      ...(address ? { address } : {}),
    })

  test('is nothing once whoever made it could not make it any more, or the organization is being ended', async () => {
    const { secret } = await invite('shown@example.test')
    expect((await look(secret)).status).toBe(200)
    const setRole = (role: 'owner' | 'member') =>
      withOrg(fixture.deps.db, org.id, (tx) =>
        tx.update(memberships).set({ role }).where(eq(memberships.userId, org.userIds.owner)),
      )
    await setRole('member')
    expect((await look(secret)).status).toBe(400)
    await setRole('owner')
    expect((await look(secret)).status).toBe(200)
    await withOrg(fixture.deps.db, org.id, (tx) =>
      tx.update(organizations).set({ terminatingAt: new Date() }).where(eq(organizations.id, org.id)),
    )
    const refused = await look(secret)
    expect([refused.status, (await refused.text()).includes('Söhne')]).toEqual([400, false])
  })

  test('is not asked for without end from one network', async () => {
    const { secret } = await invite('often@example.test')
    for (let count = 0; count < 30; count += 1) await look('cj_x', '203.0.113.9')
    expect(await (await look(secret, '203.0.113.9')).text()).toContain('Too many invitations are tried')
    expect((await look(secret, '203.0.114.9')).status).toBe(200)
  })
})

describe('the pages of a forgotten password', () => {
  const askFor = async (email: string) => {
    await page.goto(`${fixture.deps.publicUrl}/login/device`)
    await page.click('text="Forgotten your password?"')
    await heading('Forgotten password')
    await expectUsable()
    await page.fill('#email', email)
    await press('Send me the mail')
    await heading('Look into your mail')
    return (await page.textContent('main'))?.replaceAll(email, '…')
  }
  const mailed = async (email: string) => {
    await expect.poll(async () => (await mailsTo(fixture, email)).length).toBeGreaterThan(0)
    return linkTo(fixture, email)
  }

  test('set a new one by the link of the mail, once; all sessions end, and the second factor stays', async () => {
    await openPage(PHONE)
    const { email, userId } = await person('viewer')
    const { recoveryCodes } = await enrolTotp(fixture, userId)
    const open = await fixture.signIn(userId)
    await askFor(email.toUpperCase())
    const { link, secret } = await mailed(email)
    await follow(link)
    await heading('Set a new password')
    await expectUsable()
    // The code is in its field and nowhere else, and the keyboard where the password goes.
    expect(page.url()).toBe(`${fixture.deps.publicUrl}/login/password/new`)
    expect(await page.getByLabel('Code of your mail').inputValue()).toBe(secret)
    await page.keyboard.type(NEXT)
    await page.keyboard.press('Enter')
    await heading('Your password is set')
    expect(page.url() + asked.join(' ')).not.toContain(secret)
    expect((await fixture.request('GET', '/v1/users/me', { token: open.token })).status).toBe(401)
    expect((await logIn(email, PASSWORD)).status).toBe(400)
    await page.click('text="Sign in with your new password"')
    await signIn(email, { password: NEXT })
    expect(await noticed()).toContain('A second factor is needed')
    await signIn(email, { password: NEXT, factor: recoveryCodes[0]! })
    await page.waitForSelector('#code')

    await follow(link)
    await page.getByLabel('New password').fill(PASSWORD)
    await press('Set the password')
    await heading('This did not work')
    expect(await noticed()).toContain('used or has expired')
    await page.click('text="Ask for another mail"')
    await heading('Forgotten password')
  })

  test('answer alike for everybody', async () => {
    const { email } = await person('viewer')
    expect(await askFor('nobody@example.test')).toBe(await askFor(email))
    await mailed(email)
    expect(await mailsTo(fixture, 'nobody@example.test')).toEqual([])
  })

  test('say what is wrong with an address or a password, keep the code, and say where no mail is sent', async () => {
    const post = async (path: string, body: Record<string, string>) => {
      const headers = { origin: fixture.deps.publicUrl, 'content-type': 'application/x-www-form-urlencoded' }
      const answer = await fixture.request('POST', path, { headers, body: new URLSearchParams(body).toString() })
      return [answer.status, await answer.text()]
    }
    expect(await post('/login/password', { email: 'x' })).toEqual([400, expect.stringContaining('Write the address')])
    const short = await post('/login/password/new', { secret: 'cr_x', password: 'short' })
    expect(short).toEqual([400, expect.stringMatching(/at least 12 characters[^]*value="cr_x"/)])
    expect(await post('/login/password', { email: 'x@example.test' })).toEqual([200, expect.any(String)])
    fixture.deps.mailKey = null
    const silent = await post('/login/password', { email: 'x@example.test' })
    fixture.deps.mailKey = MAIL_KEY
    expect(silent).toEqual([400, expect.stringContaining('This server sends no mail')])
  })
})

describe('the page of the e-mail address', () => {
  test('changes it for who is signed in, with the code of the new letterbox', async () => {
    await openPage(PHONE)
    const { email } = await person('viewer')
    const next = `next.${email}`
    await page.goto(`${fixture.deps.publicUrl}/account/email`)
    await expectUsable()
    await signIn(email)
    await expectUsable()
    await page.getByLabel('New e-mail address').fill(next)
    await press('Mail me a code')
    expect(await page.getByRole('status').textContent()).toContain(next)
    const { link, secret } = await linkTo(fixture, next)
    await follow(link)
    await heading('Your address is changed')
    expect(page.url() + asked.join(' ')).not.toContain(secret)
    expect([(await logIn(email, PASSWORD)).status, (await logIn(next, PASSWORD)).status]).toEqual([400, 201])
    await follow(link)
    await heading('This did not work')
    expect(await noticed()).toContain('was used, has expired, or is not yours')
  })

  test('asks to sign in where the mail is read elsewhere, and where the sign-in is not of the last minutes', async () => {
    const { email } = await person('viewer')
    const next = `elsewhere.${email}`
    await page.goto(`${fixture.deps.publicUrl}/account/email`)
    await signIn(email)
    await page.getByLabel('New e-mail address').waitFor()
    const { now } = fixture.deps
    fixture.deps.now = () => new Date(now().getTime() + 6 * 60_000)
    await page.getByLabel('New e-mail address').fill(next)
    await press('Mail me a code')
    expect(await noticed()).toContain('a sign-in of the last five minutes')
    await signIn(email)
    await page.getByLabel('New e-mail address').fill(next)
    await press('Mail me a code')
    await page.getByRole('status').waitFor()
    const { link } = await linkTo(fixture, next)
    // Another browser.
    await openPage()
    await follow(link)
    await page.waitForSelector('text="Sign in with the address that your account has now."')
    await signIn(email, { password: 'wrong horse battery' })
    expect(await noticed()).toBe('E-mail address or password is wrong.')
    await signIn(email)
    await heading('Your address is changed')
    fixture.deps.now = now
  })
})

/** Runs in the browser. */
const INSPECT = () => {
  type Field = { type: string; labels: { length: number } | null; id: string; name: string }
  type Doc = {
    documentElement: { lang: string; scrollWidth: number; clientWidth: number }
    querySelectorAll(selector: string): Iterable<Field & { textContent: string }> & { length: number }
    querySelector(selector: string): unknown
  }
  const { document } = globalThis as never as { document: Doc }
  const fields = Array.from(document.querySelectorAll('input')).filter(({ type }) => type !== 'hidden')
  const buttons = Array.from(document.querySelectorAll('button, a')).filter((one) => one.textContent.trim() === '')
  const { lang, scrollWidth, clientWidth } = document.documentElement
  return {
    lang,
    headings: document.querySelectorAll('h1').length,
    nameless: [...fields.filter(({ labels }) => !labels?.length), ...buttons].map(({ id, name }) => id || name),
    wide: scrollWidth > clientWidth,
    viewport: document.querySelector('meta[name=viewport]') !== null,
  }
}
