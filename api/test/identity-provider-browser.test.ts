import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createIssuers } from '../src/openid/issuers.js'
import { createOutbound } from '../src/outbound/create-outbound.js'
import { openBrowser } from './browser.js'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import { type IdentityProvider, startIdentityProvider } from './identity-provider.js'
import { type OfficialCli, startBrowserLogin, startOfficialCli } from './official-cli.js'

let fixture: Fixture
let org: TestOrganization
let cli: OfficialCli
let provider: IdentityProvider
let browser: Browser

beforeAll(async () => {
  fixture = await createFixture()
  org = await fixture.createOrganization('Acme')
  cli = await startOfficialCli(fixture, 'ca_none', { keyring: true })
  provider = await startIdentityProvider(`${cli.url}/login/callback`)
  const outbound = createOutbound({ privateHosts: [provider.host] })
  Object.assign(fixture.deps, { outbound, outboundPrivateHosts: [provider.host], issuers: createIssuers(outbound) })
  browser = await openBrowser()
})
afterAll(async () => {
  await browser?.close()
  await provider?.[Symbol.asyncDispose]()
  await cli?.[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})

test('the official CLI signs in through the page, a certified provider and its consent', async () => {
  const { token: owner } = await fixture.signIn(org.userIds.owner, { secondFactorAt: new Date() })
  const made = await fixture.request('POST', `/v1/organizations/${org.id}/identity-providers`, {
    token: owner,
    body: {
      name: 'Acme ID',
      issuer: provider.issuer,
      clientId: provider.clientId,
      clientSecret: provider.clientSecret,
      joinRole: 'member',
    },
  })
  expect(made.status).toBe(201)

  const login = await startBrowserLogin(cli)
  const context = await browser.newContext()
  const page = await context.newPage()
  await page.goto(`${cli.url}/login/device?code=${login.code}`)
  await page.fill('#organization', org.id)
  await page.click('text="Sign in through your organization"')
  await page.click('text="Acme ID"')
  await page.click('text="Continue to Acme ID"')
  // The provider's own pages, on another site.
  await page.waitForURL(`${provider.issuer}/interaction/**`)
  await page.fill('input[name="login"]', 'ada')
  await page.fill('input[name="password"]', 'any')
  await page.click('button[type="submit"]')
  await page.click('button[type="submit"]')
  // Back here, signed in, with the code that the tool showed.
  await page.waitForSelector('#code')
  expect(await page.inputValue('#code')).toBe(login.code)
  expect(await page.textContent('main')).toContain('ada@acme.example')
  await page.click('text="Continue"')
  await page.click('text="Allow"')
  expect(await page.textContent('h1')).toBe('Signed in')
  expect(await login.exit).toEqual([0, null])

  const whoami = await cli.run('whoami')
  expect(whoami.output).toContain('ada@acme.example')
  const events = await fixture.request('GET', `/v1/organizations/${org.id}/audit-events`, { token: org.tokens.owner })
  expect(await events.text()).toContain('member.joined')
  await context.close()
})
