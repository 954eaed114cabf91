import { expect } from 'vitest'
import type { JWTPayload } from 'jose'
import type { Fixture, TestOrganization } from './fixture.js'
import type { TokenIssuer } from './token-issuer.js'

export const ORIGIN = 'http://capstan.test'

export type Provider = { id: string; redirectUri: string; signInUrl: string }
export type Begun = { url: URL; cookie: string }
export type Place = { org: TestOrganization; owner: string }

export const cookieOf = (answer: { headers: Headers }, name: string): string =>
  answer.headers
    .getSetCookie()
    .find((line) => line.startsWith(`__Host-${name}=`))
    ?.split(';')[0] ?? ''
export const sessionOf = (answer: { headers: Headers }) => cookieOf(answer, 'capstan').split('=')[1] ?? ''

/** Signing in through providers of an organization, step by step: `issuer` is the one, `second` another. */
export function federation(fixture: Fixture, [issuer, second]: [TokenIssuer, TokenIssuer], place: () => Place) {
  const create = (changes: object = {}, token = place().owner, orgId = place().org.id) =>
    fixture.request('POST', `/v1/organizations/${orgId}/identity-providers`, {
      token,
      body: {
        name: 'Acme ID',
        issuer: issuer.url,
        clientId: 'capstan',
        clientSecret: 's3cret',
        joinRole: 'member',
        ...changes,
      },
    })
  const providerOf = async (changes: object = {}): Promise<Provider> => {
    const answer = await create(changes)
    expect(answer.status).toBe(201)
    return answer.json<Provider>()
  }
  /** A form of the pages, as a browser sends it. */
  const form = (path: string, fields: Record<string, string>, cookie = '') =>
    fixture.request('POST', path, {
      headers: { origin: ORIGIN, 'content-type': 'application/x-www-form-urlencoded', cookie },
      body: new URLSearchParams(fields).toString(),
    })
  async function begin(provider: Provider, more: Record<string, string> = {}, cookie = ''): Promise<Begun> {
    const answer = await form('/login/provider', { provider: provider.id, intent: 'sign-in', ...more }, cookie)
    const page = await answer.text()
    expect([answer.status, page]).toEqual([200, expect.stringContaining('http-equiv="refresh"')])
    const [, url = ''] = /url=([^"]+)"/.exec(page) ?? []
    return { url: new URL(url.replaceAll('&amp;', '&')), cookie: cookieOf(answer, 'capstan-sign-in') }
  }
  const claims = ({ url }: Begun, changes: JWTPayload = {}): JWTPayload => {
    const now = Math.floor(Date.now() / 1000)
    const nonce = url.searchParams.get('nonce')
    return {
      iss: issuer.url,
      aud: 'capstan',
      sub: 'ada',
      iat: now,
      exp: now + 300,
      nonce,
      email: 'ada@acme.example',
      ...changes,
    }
  }
  /** The provider answers: its token endpoint gives this ID token, after `meanwhile`. */
  async function finish(
    begun: Begun,
    idToken: string,
    {
      state = begun.url.searchParams.get('state') ?? '',
      cookie = begun.cookie,
      meanwhile = (): Promise<unknown> => Promise.resolve(),
    } = {},
  ) {
    const from = begun.url.origin === second.url ? second : issuer
    from.answerToken(async () => {
      await meanwhile()
      return { access_token: 'x', token_type: 'Bearer', id_token: idToken }
    })
    const query = new URLSearchParams({ code: 'c-1', state })
    return fixture.request('GET', `/login/callback?${query.toString()}`, { headers: { cookie } })
  }
  async function signIn(provider: Provider, changes: JWTPayload = {}): Promise<string> {
    const begun = await begin(provider)
    const answer = await finish(begun, await issuer.sign(claims(begun, changes)))
    expect(answer.status).toBe(200)
    return sessionOf(answer)
  }
  const refused = async (answer: Awaited<ReturnType<typeof finish>>): Promise<string> => {
    expect([answer.status, sessionOf(answer)]).toEqual([400, ''])
    return answer.text()
  }
  const me = async (token: string) =>
    (await fixture.request('GET', '/v1/users/me', { token })).json<{ id: string; email: string }>()
  return { create, providerOf, form, begin, claims, finish, signIn, refused, me }
}

export type Federation = ReturnType<typeof federation>
