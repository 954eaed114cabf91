import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { userPasswords, withUser } from '@capstan/migrations'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hashPassword } from '../src/auth/password.js'
import { openBrowser } from './browser.js'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import { type OfficialCli, startBrowserLogin, startOfficialCli } from './official-cli.js'

const PASSWORD = 'correct horse battery staple'

let fixture: Fixture
let org: TestOrganization
let cli: OfficialCli
let browser: Browser
let email: string

beforeAll(async () => {
  fixture = await createFixture()
  org = await fixture.createOrganization('Acme')
  email = `${org.userIds.owner}@example.test`
  const hash = await hashPassword(PASSWORD)
  await withUser(fixture.deps.db, org.userIds.owner, (tx) =>
    tx.insert(userPasswords).values({ userId: org.userIds.owner, hash }),
  )
  cli = await startOfficialCli(fixture, 'ca_none', { keyring: true })
  browser = await openBrowser()
})
afterAll(async () => {
  await browser?.close()
  await cli?.[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})

async function signInOnPage(page: Page, password = PASSWORD): Promise<void> {
  await page.goto(`${cli.url}/login/device`)
  await page.fill('#email', email)
  await page.fill('#password', password)
  await page.click('button:text-is("Sign in")')
}

describe('the official command line', () => {
  test('signs in through the page of this server, works, and signs out', async () => {
    const login = await startBrowserLogin(cli)
    const context = await browser.newContext()
    const page = await context.newPage()
    const complaints: string[] = []
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()))
    await signInOnPage(page)
    await page.waitForSelector('#code')
    const [cookie] = await context.cookies()
    expect(cookie).toMatchObject({
      name: '__Host-capstan',
      secure: true,
      httpOnly: true,
      sameSite: 'Strict',
      path: '/',
    })
    await page.fill('#code', login.code.toLowerCase())
    await page.click('text="Continue"')
    expect(await page.textContent('dl')).toContain('Capawesome CLI')
    await page.click('text="Allow"')
    expect(await page.textContent('h1')).toBe('Signed in')
    expect(await login.exit).toEqual([0, null])
    expect(login.output()).toContain('Successfully signed in')
    // The one message is of the icon that browsers ask every site for.
    expect(complaints.filter((text) => !text.includes('404'))).toEqual([])

    const token = await readFile(join(cli.folder, 'home', 'keyring'), 'utf8')
    const whoami = await cli.run('whoami')
    expect(whoami.output).toContain(email)
    const sessions = await fixture.request('GET', '/v1/sessions', { token })
    expect(await sessions.json<unknown>()).toContainEqual(
      expect.objectContaining({
        client: 'cli',
        current: true,
        twoFactor: false,
        userAgent: expect.stringContaining('CLI'),
      }),
    )
    expect((await cli.run('logout')).code).toBe(0)
    expect((await fixture.request('GET', '/v1/users/me', { token })).status).toBe(401)
    await context.close()
  })

  test('is told when the person refuses, and stays signed out', async () => {
    const login = await startBrowserLogin(cli)
    const page = await (await browser.newContext()).newPage()
    await signInOnPage(page)
    await page.fill('#code', 'BBBB-BBBB')
    await page.click('text="Continue"')
    expect(await page.textContent('.notice')).toContain('No command line waits with this code')
    await page.fill('#code', login.code)
    await page.click('text="Continue"')
    await page.click('text="Refuse"')
    expect(await page.textContent('h1')).toBe('Refused')
    expect((await login.exit)[0]).toBe(1)
    expect(login.output()).toContain('refused in the browser')
    await page.context().close()
  })
})

describe('the page', () => {
  test('shows a wrong password as a sentence, and keeps no session of it', async () => {
    const page = await (await browser.newContext()).newPage()
    await signInOnPage(page, 'wrong')
    expect(await page.textContent('.notice')).toBe('E-mail address or password is wrong.')
    expect(await page.context().cookies()).toEqual([])
    await page.context().close()
  })

  test('takes a passkey of the browser, and its script and style pass its own policy', async () => {
    const address = fixture.deps.publicUrl
    const url = cli.url.replace('127.0.0.1', 'localhost')
    fixture.deps.publicUrl = url
    const page = await (await browser.newContext()).newPage()
    const cdp = await page.context().newCDPSession(page)
    await cdp.send('WebAuthn.enable')
    await cdp.send('WebAuthn.addVirtualAuthenticator', {
      options: {
        protocol: 'ctap2',
        transport: 'internal',
        hasResidentKey: true,
        hasUserVerification: true,
        isUserVerified: true,
        automaticPresenceSimulation: true,
      },
    })
    await page.goto(`${url}/login/device`)
    const { token } = await fixture.signIn(org.userIds.admin)
    const registered = await page.evaluate(REGISTER, token)
    expect(registered).toBe(201)
    await page.click('text="Sign in with a passkey"')
    await page.waitForSelector('#code')
    expect(await page.textContent('main')).toContain(`${org.userIds.admin}@example.test`)
    await page.click('text="Sign out of this page"')
    await page.waitForSelector('#email')
    fixture.deps.publicUrl = address
    await page.context().close()
  })

  const account = [
    '/join',
    '/join/code',
    '/login/password',
    '/login/password/new',
    '/account/email',
    '/account/email/code',
  ]
  const shared = ['/login/passkey.js', '/login/mailed-code.js', '/login/style.css']
  test.each(['/login/device', '/login', '/logout', ...shared, ...account])(
    '%s is sent with a policy that forbids frames and everything from elsewhere',
    async (path) => {
      const answer = await fixture.request('GET', path)
      const policy = answer.headers.get('content-security-policy') ?? ''
      expect(policy).toContain("default-src 'none'")
      expect(policy).toContain("frame-ancestors 'none'")
      expect(policy).not.toContain('unsafe')
      expect(answer.headers.get('x-frame-options')).toBe('DENY')
    },
  )

  test.each([undefined, 'null', 'http://evil.test'])('takes no form from the origin %s', async (origin) => {
    const joining = ['/join', '/join/sign-in', '/join/account', '/join/acceptance', '/join/rejection']
    const changing = ['/login/password', '/login/password/new', '/account/email', '/account/email/sign-in']
    const login = ['/login', '/login/device', '/login/device/decision', '/logout']
    for (const path of [...login, ...joining, ...changing, '/account/email/code']) {
      const headers = { 'content-type': 'application/x-www-form-urlencoded', ...(origin ? { origin } : {}) }
      const refused = await fixture.request('POST', path, { headers, body: 'code=BBBBBBBB&decision=approved' })
      expect([path, refused.status, (await refused.json()).code]).toEqual([path, 403, 'form-foreign'])
    }
  })

  test('shows what it was sent as text', async () => {
    const answer = await fixture.request('GET', '/login/device?code=%22%3E%3Cscript%3Ealert(1)%3C/script%3E')
    const text = await answer.text()
    expect(text).not.toContain('<script>alert')
    expect(text).toContain('&lt;script&gt;alert(1)')
  })

  test('is not opened by a session that was not begun on a page, so that a code’s session lets nobody in', async () => {
    const looking = async (client: 'api' | 'page') => {
      const { token } = await fixture.signIn(org.userIds.owner, { client })
      const answer = await fixture.request('GET', '/login/device?code=ABCD-EFGH', {
        headers: { cookie: `__Host-capstan=${token}` },
      })
      return answer.text()
    }
    expect(await looking('page')).not.toContain('name="password"')
    expect(await looking('api')).toContain('name="password"')
  })

  test('is no door into the API: its cookie means nothing under /v1', async () => {
    const { token } = await fixture.signIn(org.userIds.owner, { client: 'page' })
    const refused = await fixture.request('GET', '/v1/users/me', { headers: { cookie: `__Host-capstan=${token}` } })
    expect(refused.status).toBe(401)
    expect((await fixture.request('GET', '/v1/users/me', { token })).status).toBe(200)
  })
})

describe('a code', () => {
  const begin = async () =>
    (await fixture.request('POST', '/v1/sessions/codes', { body: {} })).json<{ id: string; code: string }>()
  const poll = (id: string) => fixture.request('POST', '/v1/sessions', { body: { code: id, provider: 'code' } })
  const form = (path: string, cookie: string, body: string) =>
    fixture.request('POST', path, {
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        origin: fixture.deps.publicUrl,
        cookie: `__Host-capstan=${cookie}`,
      },
      body,
    })

  test('gives one session, to whoever holds the secret; not the code that a person types', async () => {
    const { id, code } = await begin()
    expect([(await poll(id)).status, (await poll(code)).status]).toEqual([400, 410])
    const person = await fixture.signIn(org.userIds.owner, { secondFactorAt: new Date(), client: 'page' })
    expect((await form('/login/device/decision', person.token, `code=${code}&decision=approved`)).status).toBe(200)
    const answers = await Promise.all([poll(id), poll(id), poll(id)])
    expect(answers.map(({ status }) => status).sort((a, b) => a - b)).toEqual([201, 410, 410])
    const won = answers.find(({ status }) => status === 201)
    const { token } = (await won?.json<{ token: string }>()) ?? { token: '' }
    const sensitive = await fixture.request('PATCH', `/v1/organizations/${org.id}`, {
      token,
      body: { stepUpRequired: true },
    })
    expect(await sensitive.json()).toMatchObject({ code: 'second-factor-missing' })
    const again = await form('/login/device/decision', person.token, `code=${code}&decision=approved`)
    expect(again.status).toBe(400)
  })

  test('is not guessed without end, and needs somebody who is signed in', async () => {
    const { code } = await begin()
    expect(await (await form('/login/device', 'cs_none', `code=${code}`)).text()).toContain(
      'session of this page has ended',
    )
    const person = await fixture.signIn(org.userIds.viewer, { client: 'page' })
    for (let attempt = 0; attempt < 10; attempt += 1) await form('/login/device', person.token, 'code=CCCCCCCC')
    expect(await (await form('/login/device', person.token, `code=${code}`)).text()).toContain('Try again in')
  })
})

/** Registers a passkey with the browser's own functions; answers the status. */
const REGISTER = async (token: string): Promise<number> => {
  const post = (path: string, body?: object) =>
    fetch(path, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body ? { body: JSON.stringify(body) } : {}),
    })
  const options = await (await post('/v1/users/me/passkeys/challenges')).json()
  const { PublicKeyCredential, navigator } = globalThis as never as {
    PublicKeyCredential: { parseCreationOptionsFromJSON(options: unknown): unknown }
    navigator: { credentials: { create(options: object): Promise<{ toJSON(): object }> } }
  }
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options)
  const credential = await navigator.credentials.create({ publicKey })
  return (await post('/v1/users/me/passkeys', { name: 'Browser', response: credential.toJSON() })).status
}
