import { createHash, createHmac, createPublicKey, randomUUID } from 'node:crypto'
import { withOrg } from '@capstan/migrations'
import { sql } from 'drizzle-orm'
import { type JWTPayload, UnsecuredJWT } from 'jose'
import { describe, expect, test } from 'vitest'
import { createIssuers } from '../src/openid/issuers.js'
import { type Begun, ORIGIN, sessionOf } from './federated-fixture.js'
import {
  begin,
  claims,
  create,
  finish,
  fixture,
  issuer,
  me,
  org,
  providerOf,
  refused,
  second,
  signIn,
  useFederation,
} from './federated-stage.js'
import { createFixture } from './fixture.js'
import { startTokenIssuer } from './token-issuer.js'

useFederation()

describe('signing in through a provider', () => {
  test('asks with code, PKCE, state and nonce, and proves who asks', async () => {
    const provider = await providerOf()
    const begun = await begin(provider)
    const asked = Object.fromEntries(begun.url.searchParams)
    expect(asked).toMatchObject({
      client_id: 'capstan',
      response_type: 'code',
      redirect_uri: `${ORIGIN}/login/callback`,
      scope: 'openid email',
      code_challenge_method: 'S256',
    })
    const idToken = await issuer.sign(claims(begun))
    let [verifier, authorization] = ['', '']
    issuer.answerToken((form, header) => {
      ;[verifier, authorization] = [form.get('code_verifier') ?? '', header]
      return Promise.resolve({ access_token: 'x', token_type: 'Bearer', id_token: idToken })
    })
    const query = new URLSearchParams({ code: 'c-1', state: asked['state']! })
    const answer = await fixture.request('GET', `/login/callback?${query.toString()}`, {
      headers: { cookie: begun.cookie },
    })
    expect([answer.status, sessionOf(answer)]).toEqual([200, expect.stringMatching(/^cs_/)])
    expect(createHash('sha256').update(verifier).digest('base64url')).toBe(asked['code_challenge'])
    expect(Buffer.from(authorization.replace('Basic ', ''), 'base64').toString()).toBe('capstan:s3cret')
  })

  test('brings a new person in with the role of the provider, and knows them again', async () => {
    const provider = await providerOf({ joinRole: 'viewer' })
    const token = await signIn(provider)
    const { id, email } = await me(token)
    expect(email).toBe('ada@acme.example')
    const organization = await fixture.request('GET', `/v1/organizations/${org.id}`, { token })
    expect(organization.status).toBe(200)
    const app = await fixture.request('POST', `/v1/apps?organizationId=${org.id}`, { token, body: { name: 'x' } })
    expect(app.status).toBe(403)
    expect(await me(await signIn(provider, { email: 'other@acme.example' }))).toEqual(expect.objectContaining({ id }))
  })

  test('follows the address that the provider says of whom it brought in; whoever linked it keeps their own', async () => {
    const provider = await providerOf()
    const sub = randomUUID()
    const { id } = await me(await signIn(provider, { sub, email: 'maiden@acme.example' }))
    for (const [email, shown] of [
      ['married@acme.example', 'married@acme.example'],
      [undefined, 'married@acme.example'],
    ]) {
      expect(await me(await signIn(provider, { sub, email }))).toMatchObject({ id, email: shown })
    }
    const audit = `/v1/organizations/${org.id}/audit-events?action=email.changed`
    const events = await (await fixture.request('GET', audit, { token: org.tokens.owner })).json<unknown[]>()
    expect([events.length, JSON.stringify(events)]).toEqual([1, expect.stringContaining(id)])
    expect(JSON.stringify(events)).not.toContain('@')
    const page = await fixture.signIn(org.userIds.viewer, { client: 'page' })
    const begun = await begin(provider, { intent: 'link' }, `__Host-capstan=${page.token}`)
    await finish(begun, await issuer.sign(claims(begun, { sub: 'linked' })))
    const linked = await me(await signIn(provider, { sub: 'linked', email: 'x@acme.example' }))
    expect(linked).toMatchObject({ id: org.userIds.viewer, email: `${org.userIds.viewer}@example.test` })
  })

  test('for the first time twice at once makes one person, and both are that one', async () => {
    const provider = await providerOf()
    const sub = randomUUID()
    const both = [await begin(provider), await begin(provider)]
    const tokens = await Promise.all(both.map((begun) => issuer.sign(claims(begun, { sub }))))
    issuer.answerToken((form) =>
      Promise.resolve({ access_token: 'x', token_type: 'Bearer', id_token: tokens[Number(form.get('code'))] }),
    )
    const waiting = sql`select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
    const answers = await withOrg(fixture.deps.db, org.id, async (tx) => {
      // Neither goes on until both have found nobody.
      await tx.execute(sql`select 1 from organizations where id = ${org.id} for update`)
      const asked = both.map(({ url, cookie }, index) =>
        fixture.request('GET', `/login/callback?code=${index}&state=${url.searchParams.get('state')}`, {
          headers: { cookie },
        }),
      )
      await expect.poll(async () => (await fixture.deps.db.execute(waiting)).length, { timeout: 20_000 }).toBe(2)
      return asked
    })
    const sessions = (await Promise.all(answers)).map((answer) => [answer.status, sessionOf(answer)])
    expect(sessions).toEqual([200, 200].map((status) => [status, expect.stringMatching(/^cs_/)]))
    const [first, other] = await Promise.all(sessions.map(([, token]) => me(String(token))))
    expect(first?.id).toBe(other?.id)
    const joined = `/v1/organizations/${org.id}/audit-events?action=member.joined`
    expect(await (await fixture.request('GET', joined, { token: org.tokens.owner })).json()).toHaveLength(1)
  })

  test('is not begun at an address that is no web address, whatever the provider says of itself', async () => {
    const { id } = await providerOf()
    const start = async (authorizationEndpoint: string) => {
      issuer.describe({ authorization_endpoint: authorizationEndpoint })
      // What was said before is remembered for minutes.
      fixture.deps.issuers = createIssuers(fixture.deps.outbound)
      const answer = await fixture.request('POST', '/login/provider', {
        headers: { origin: ORIGIN, 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({ provider: id, intent: 'sign-in' }).toString(),
      })
      issuer.describe({})
      return [answer.status, await answer.text()]
    }
    for (const address of ['javascript:alert(1)//x', 'data:text/html,x', 'file:///etc/passwd', 'capstan://x']) {
      expect(await start(address)).toEqual([400, expect.stringContaining('its description is incomplete')])
    }
    for (const address of ['https://id.example.test/authorize', 'http://id.example.test/authorize']) {
      expect(await start(address)).toEqual([200, expect.stringContaining(`0; url=${address}?`)])
    }
  })

  test('nobody is known by an address: another subject or issuer with the same one is somebody else', async () => {
    const [first, other] = [await providerOf(), await providerOf({ issuer: second.url })]
    const email = `${org.userIds.owner}@example.test`
    const one = await me(await signIn(first, { email }))
    const two = await me(await signIn(first, { email, sub: 'eve' }))
    const begun = await begin(other)
    const answer = await finish(begun, await second.sign(claims(begun, { iss: second.url, email })))
    const three = await me(sessionOf(answer))
    expect(new Set([org.userIds.owner, one.id, two.id, three.id]).size).toBe(4)
    expect([one.email, two.email, three.email]).toEqual([email, email, email])
  })

  test.each(['RS256', 'ES256', 'EdDSA'])('takes %s', async (kid) => {
    const begun = await begin(await providerOf())
    expect((await finish(begun, await issuer.sign(claims(begun), { kid }))).status).toBe(200)
  })

  test.each<[string, JWTPayload]>([
    ['another audience', { aud: 'other' }],
    ['a further audience', { aud: ['capstan', 'other'], azp: 'capstan' }],
    ['another issuer', { iss: 'https://evil.example.com' }],
    ['an end that has passed', { exp: Math.floor(Date.now() / 1000) - 100 }],
    ['the nonce of another sign-in', { nonce: 'other' }],
    ['no nonce', { nonce: undefined }],
    ['no subject', { sub: undefined } as unknown as JWTPayload],
  ])('refuses a token with %s, and takes it without', async (_what, changes) => {
    const provider = await providerOf()
    const begun = await begin(provider)
    expect(await refused(await finish(begun, await issuer.sign(claims(begun, changes))))).toContain('Begin again')
    await signIn(provider)
  })

  test('refuses a token that is unsigned, keyed with the public key, of another issuer, or of another algorithm', async () => {
    const provider = await providerOf()
    const pem = createPublicKey({ key: issuer.publicJwk() as never, format: 'jwk' }).export({
      type: 'spki',
      format: 'pem',
    })
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const forgeries: ((begun: Begun) => Promise<string> | string)[] = [
      (begun) => new UnsecuredJWT(claims(begun)).encode(),
      (begun) => {
        const head = `${part({ alg: 'HS256', kid: 'RS256' })}.${part(claims(begun))}`
        return `${head}.${createHmac('sha256', pem).update(head).digest('base64url')}`
      },
      (begun) => second.sign(claims(begun)),
      (begun) => issuer.sign(claims(begun), { kid: 'RS512' }),
      async (begun) => `${(await issuer.sign(claims(begun))).split('.').slice(0, 2).join('.')}.`,
    ]
    for (const forge of forgeries) {
      const begun = await begin(provider)
      await refused(await finish(begun, await forge(begun)))
    }
    await signIn(provider)
  })

  test('an answer counts once, in the browser that asked, with its own state', async () => {
    const provider = await providerOf()
    const [begun, other] = [await begin(provider), await begin(provider)]
    const idToken = await issuer.sign(claims(begun))
    await refused(await finish(begun, idToken, { state: 'made-up' }))
    await refused(await finish(begun, idToken, { cookie: other.cookie }))
    await refused(await finish(begun, idToken, { cookie: '' }))
    expect((await finish(begun, idToken)).status).toBe(200)
    await refused(await finish(begun, idToken))
    // The same ID token in another sign-in: its nonce was used.
    await refused(await finish(other, idToken))
  })

  test('an error of the provider ends the sign-in', async () => {
    const begun = await begin(await providerOf())
    const state = begun.url.searchParams.get('state') ?? ''
    const query = new URLSearchParams({ error: 'access_denied', state })
    const headers = { cookie: begun.cookie }
    await refused(await fixture.request('GET', `/login/callback?${query.toString()}`, { headers }))
    await refused(await finish(begun, await issuer.sign(claims(begun))))
  })

  test('begins with a form of our own only', async () => {
    const provider = await providerOf()
    const body = new URLSearchParams({ provider: provider.id, intent: 'sign-in' }).toString()
    const headers = { origin: 'https://evil.example', 'content-type': 'application/x-www-form-urlencoded' }
    const answer = await fixture.request('POST', '/login/provider', { headers, body })
    expect([answer.status, (await answer.json()).code]).toEqual([403, 'form-foreign'])
    const page = await fixture.request('GET', `/login/provider/${provider.id}`)
    expect(await page.text()).toContain('Continue to Acme ID')
    const choice = await fixture.request('GET', `/login/organization?organization=${org.id}`)
    expect(await choice.text()).toContain(`/login/provider/${provider.id}`)
  })
})

describe('a provider', () => {
  test('is made by an owner with a fresh second factor, and shows no secret', async () => {
    const admin = (await fixture.signIn(org.userIds.admin, { secondFactorAt: new Date() })).token
    const stale = (await fixture.signIn(org.userIds.owner)).token
    for (const token of [admin, stale, org.tokens.owner]) expect((await create({}, token)).status).toBe(403)
    await providerOf()
    const list = await fixture.request('GET', `/v1/organizations/${org.id}/identity-providers`, {
      token: org.tokens.viewer,
    })
    const text = await list.text()
    expect(text).toContain('"confidential":true')
    expect(text).not.toContain('s3cret')
  })

  test.each<[string, object, string]>([
    ['at http', { issuer: 'http://id.example.com' }, 'outbound-address-refused'],
    ['in a private network', { issuer: 'https://192.168.1.1' }, 'outbound-address-refused'],
    ['whose role would rule', { joinRole: 'owner' }, 'request-invalid'],
  ])('%s is refused', async (_what, changes, code) => {
    const answer = await create(changes)
    expect([answer.status, (await answer.json()).code]).toEqual([422, code])
  })

  test('that signs nobody in is refused', async () => {
    await using third = await startTokenIssuer()
    await using own = await createFixture({ overrides: { outboundPrivateHosts: [third.host] } })
    third.describe({ token_endpoint: undefined })
    const { id, userIds } = await own.createOrganization()
    const { token } = await own.signIn(userIds.owner, { secondFactorAt: new Date() })
    const body = { name: 'x', issuer: third.url, clientId: 'x' }
    const answer = await own.request('POST', `/v1/organizations/${id}/identity-providers`, { token, body })
    expect([answer.status, (await answer.json()).code]).toEqual([422, 'identity-provider-invalid'])
  })
})
