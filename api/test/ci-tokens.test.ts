import { createHmac, createPublicKey, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { apiTokens, memberships, openDatabase, withOrg } from '@capstan/migrations'
import { and, eq, sql } from 'drizzle-orm'
import type { JWTPayload } from 'jose'
import { UnsecuredJWT } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createApp } from '../src/app.js'
import { forgetExpired } from '../src/control/forget-expired.js'
import type { ControlDeps } from '../src/control/control-deps.js'
import { createIssuers } from '../src/openid/issuers.js'
import { verifyIssuedToken } from '../src/openid/verify-issued-token.js'
import { createOutbound } from '../src/outbound/create-outbound.js'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import { memberCalls } from './member-calls.js'
import { startTokenIssuer, type TokenIssuer } from './token-issuer.js'

const AUDIENCE = 'https://capstan.example.com'
const GITHUB = 'https://token.actions.githubusercontent.com'

let issuer: TokenIssuer
let other: TokenIssuer
let fixture: Fixture
let org: TestOrganization
let admin: string
let now: Date

beforeAll(async () => {
  issuer = await startTokenIssuer()
  other = await startTokenIssuer()
  const outboundPrivateHosts = [issuer.host, other.host]
  fixture = await createFixture({ overrides: { outboundPrivateHosts, now: () => now } })
})
beforeEach(async () => {
  now = new Date()
  org = await fixture.createOrganization()
  admin = (await fixture.signIn(org.userIds.admin, { secondFactorAt: now })).token
})
afterAll(async () => {
  await fixture[Symbol.asyncDispose]()
  await issuer[Symbol.asyncDispose]()
  await other[Symbol.asyncDispose]()
})

type Policy = { id: string; audience: string; claims: Record<string, string[]>; createdBy: string }
const path = () => `/v1/organizations/${org.id}/trust-policies`
const wanted = (changes: object = {}) => ({
  name: 'main',
  issuer: issuer.url,
  audience: AUDIENCE,
  claims: { repository_id: '4711', ref: ['refs/heads/main', 'refs/heads/next'] },
  scopes: ['apps:read', 'organizations:read', 'bundles:write'],
  ...changes,
})
const create = (changes: object = {}, token = admin) =>
  fixture.request('POST', path(), { token, body: wanted(changes) })
const policyOf = async (changes: object = {}): Promise<Policy> => {
  const answer = await create(changes)
  expect(answer.status).toBe(201)
  return answer.json<Policy>()
}

const seconds = (offset: number) => Math.floor(now.getTime() / 1000) + offset
const claims = (changes: JWTPayload = {}): JWTPayload => ({
  iss: issuer.url,
  aud: AUDIENCE,
  sub: 'repo:octo/app:ref:refs/heads/main',
  jti: randomUUID(),
  iat: seconds(-10),
  exp: seconds(300),
  repository_id: '4711',
  ref: 'refs/heads/main',
  ...changes,
})
const exchange = (policyId: string, subjectToken: string, address?: string) =>
  fixture.request('POST', '/v1/ci-tokens', {
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      audience: policyId,
      subject_token: subjectToken,
      subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
    }).toString(),
    ...(address ? { address } : {}),
  })
type Exchanged = { access_token: string; expires_in: number; scope: string; token_type: string }
const exchanged = async (policyId: string, subjectToken: string, address?: string): Promise<Exchanged> => {
  const answer = await exchange(policyId, subjectToken, address)
  expect(answer.status).toBe(200)
  return answer.json<Exchanged>()
}
const codeOf = async (answer: Awaited<ReturnType<typeof create>>) => [answer.status, (await answer.json()).code]
const refusal = async (policyId: string, subjectToken: string) => {
  const answer = await exchange(policyId, subjectToken)
  const { code, detail } = await answer.json<{ code: string; detail: string }>()
  expect([answer.status, code]).toEqual([400, 'token-exchange-refused'])
  return detail
}
const works = async (token: string, address?: string) =>
  (await fixture.request('GET', `/v1/organizations/${org.id}`, { token, ...(address ? { address } : {}) })).status
type Event = { action: string; outcome: string; actor: { id: string; via: object } }
const auditOf = async (): Promise<Event[]> => {
  const answer = await fixture.request('GET', `/v1/organizations/${org.id}/audit-events`, { token: org.tokens.owner })
  return (await answer.json<{ event: string }[]>()).map(({ event }) => JSON.parse(event) as Event)
}

describe('a token of a CI job', () => {
  test('is exchanged for one with the scopes of the policy, for minutes, and the maker of the policy is behind it', async () => {
    const policy = await policyOf({ tokenMinutes: 5 })
    const answer = await exchange(policy.id, await issuer.sign(claims()))
    expect(answer.headers.get('cache-control')).toBe('no-store')
    const token = await answer.json<Exchanged & { issued_token_type: string }>()
    expect(token).toMatchObject({
      issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      token_type: 'Bearer',
      expires_in: 300,
      scope: 'apps:read organizations:read bundles:write',
    })
    expect(token.access_token).toMatch(/^ca_[0-9A-Za-z]{36}$/)
    expect(await works(token.access_token)).toBe(200)
    const app = { token: token.access_token, body: { name: 'x' } }
    expect(await codeOf(await fixture.request('POST', '/v1/apps', app))).toEqual([403, 'permission-missing'])
    const [row] = await withOrg(fixture.deps.db, org.id, (tx) =>
      tx.select().from(apiTokens).where(eq(apiTokens.trustPolicyId, policy.id)),
    )
    expect(row).toMatchObject({ kind: 'service', userId: org.userIds.admin })
    now = new Date(now.getTime() + 301_000)
    expect(await works(token.access_token)).toBe(401)
  })

  test('asks for a change in the name of who made the policy, who does not approve it then; somebody else does', async () => {
    const owner = (await fixture.signIn(org.userIds.owner, { secondFactorAt: now })).token
    const path = `/v1/organizations/${org.id}`
    const call = (method: string, below: string, body: object, token: string) =>
      fixture.request(method, below, { token, body })
    expect((await call('PATCH', `${path}/separation-of-duties`, { enabled: true }, owner)).status).toBe(200)
    const made = await call('POST', `/v1/apps?organizationId=${org.id}`, { name: 'x' }, admin)
    const app = await made.json<{ id: string }>()
    const { id: policyId } = await policyOf({ scopes: ['apps:read', 'apps:write'] })
    const { access_token: ci } = await exchanged(policyId, await issuer.sign(claims()))
    const [row] = await withOrg(fixture.deps.db, org.id, (tx) =>
      tx.execute(sql`select principal_roots(user_id, 'token', id) as roots from api_tokens
        where trust_policy_id = ${policyId}`),
    )
    expect(row).toEqual({ roots: [org.userIds.admin] })
    const change = () => call('PATCH', `/v1/apps/${app.id}`, { egressHosts: ['npm.example.com'] }, ci)
    const { detail } = await (await change()).json<{ detail: string }>()
    const request = /Change request ([\da-f-]{36})/.exec(detail)?.[1] ?? detail
    const approve = (token: string) => call('POST', `${path}/change-requests/${request}/approve`, {}, token)
    expect(await codeOf(await approve(admin))).toEqual([403, 'self-approval'])
    expect((await approve(org.tokens.approver)).status).toBe(200)
    expect((await change()).status).toBe(200)
  })

  test.each(['RS256', 'ES256', 'EdDSA'])('may be signed with %s', async (kid) => {
    const { id } = await policyOf()
    expect(await works((await exchanged(id, await issuer.sign(claims(), { kid }))).access_token)).toBe(200)
  })

  test.each<[string, JWTPayload, RegExp]>([
    ['of another audience', { aud: 'https://other.example.com' }, /"aud" is not the right one/],
    ['for others as well', { aud: [AUDIENCE, 'https://other.example.com'] }, /alone/],
    ['of another issuer', { iss: 'https://evil.example.com' }, /"iss" is not the right one/],
    ['that has expired', { exp: seconds0(-60) }, /it has expired/],
    ['without an end', { exp: undefined } as unknown as JWTPayload, /"exp" is missing/],
    ['that lives too long', { exp: seconds0(200_000) }, /more than a day/],
    ['of the future', { iat: seconds0(3_000) }, /future/],
    ['of another repository', { repository_id: '4712' }, /"repository_id"/],
    ['of another branch', { ref: 'refs/heads/other' }, /"ref"/],
    ['without the claim', { repository_id: undefined }, /"repository_id"/],
    ['whose claim is a list', { repository_id: ['4711'] }, /"repository_id"/],
  ])('%s is refused', async (_what, changes, reason) => {
    const { id } = await policyOf()
    expect(await refusal(id, await issuer.sign(claims(changes)))).toMatch(reason)
    await exchanged(id, await issuer.sign(claims()))
  })

  test('is refused unsigned, signed with the public key as a secret, by another issuer, and with another algorithm', async () => {
    const { id } = await policyOf()
    const unsigned = new UnsecuredJWT(claims()).encode()
    const pem = createPublicKey({ key: issuer.publicJwk() as never, format: 'jwk' }).export({
      type: 'spki',
      format: 'pem',
    })
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const head = `${part({ alg: 'HS256', kid: 'RS256' })}.${part(claims())}`
    const symmetric = `${head}.${createHmac('sha256', pem).update(head).digest('base64url')}`
    const foreign = await other.sign(claims())
    const allowed = await issuer.sign(claims(), { kid: 'RS512' })
    const [header, payload] = (await issuer.sign(claims())).split('.')
    const cut = `${header}.${payload}.`
    for (const token of [unsigned, symmetric, foreign, allowed, cut, 'x', `${header}.${payload}`]) {
      expect(await refusal(id, token)).toMatch(/not signed by its issuer/)
    }
  })

  test('is exchanged once, also of many at the same moment and in another process', async () => {
    const policy = await policyOf()
    const token = await issuer.sign(claims())
    const elsewhere = createApp({ ...fixture.deps, issuers: createIssuers(fixture.deps.outbound) })
    const form = new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      audience: policy.id,
      subject_token: token,
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
    })
    const inOther = () =>
      elsewhere.request('/v1/ci-tokens', {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: form.toString(),
      })
    const answers = await Promise.all([
      ...Array.from({ length: 4 }, () => exchange(policy.id, token)),
      ...Array.from({ length: 4 }, () => inOther()),
    ])
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, ...Array(7).fill(400)])
    expect(await refusal(policy.id, token)).toMatch(/exchanged before/)
    const twin = await policyOf({ name: 'twin' })
    expect(await refusal(twin.id, token)).toMatch(/exchanged before/)
    const actions = await auditOf()
    expect(actions.filter(({ action }) => action === 'ci-token.issued')).toHaveLength(1)
    const actor = expect.objectContaining({ id: org.userIds.admin, via: { type: 'trust-policy', id: policy.id } })
    expect(actions).toContainEqual(expect.objectContaining({ action: 'ci-token.refused', outcome: 'refused', actor }))
  })

  test('without an id of its own is exchanged once too', async () => {
    const { id } = await policyOf()
    const token = await issuer.sign(claims({ jti: undefined } as unknown as JWTPayload), { kid: 'ES256' })
    await exchanged(id, token)
    expect(await refusal(id, token)).toMatch(/exchanged before/)
  })

  test('that was refused may still be exchanged where it is trusted', async () => {
    const [wrong, right] = [await policyOf({ claims: { repository_id: '1' } }), await policyOf()]
    const token = await issuer.sign(claims())
    await refusal(wrong.id, token)
    await exchanged(right.id, token)
  })

  test('is not exchanged by a policy that is not there', async () => {
    expect((await exchange(randomUUID(), await issuer.sign(claims()))).status).toBe(404)
  })
})

// `test.each` is read before any test sets the clock.
function seconds0(offset: number): number {
  return Math.floor(Date.now() / 1000) + offset
}

describe('what may be done with it', () => {
  test('is held to the networks of the policy, at the exchange and after', async () => {
    const { id } = await policyOf({ cidrs: ['192.0.2.0/24'] })
    expect(await codeOf(await exchange(id, await issuer.sign(claims()), '198.51.100.1'))).toEqual([
      403,
      'address-not-allowed',
    ])
    const { access_token } = await exchanged(id, await issuer.sign(claims()), '192.0.2.1')
    expect([await works(access_token, '192.0.2.1'), await works(access_token, '198.51.100.1')]).toEqual([200, 403])
  })

  test('ends with the policy', async () => {
    const { id } = await policyOf()
    const { access_token } = await exchanged(id, await issuer.sign(claims()))
    expect((await fixture.request('DELETE', `${path()}/${id}`, { token: org.tokens.admin })).status).toBe(204)
    expect(await works(access_token)).toBe(401)
    expect((await exchange(id, await issuer.sign(claims()))).status).toBe(404)
    expect((await auditOf()).map(({ action }) => action)).toContain('trust-policy.deleted')
  })

  test('shrinks with the role of the maker, and ends with the membership', async () => {
    const { id } = await policyOf()
    const mine = and(eq(memberships.orgId, org.id), eq(memberships.userId, org.userIds.admin))
    await withOrg(fixture.deps.db, org.id, (tx) => tx.update(memberships).set({ role: 'viewer' }).where(mine))
    expect((await exchanged(id, await issuer.sign(claims()))).scope).toBe('apps:read organizations:read')
    await withOrg(fixture.deps.db, org.id, (tx) => tx.update(memberships).set({ suspendedAt: now }).where(mine))
    expect(await refusal(id, await issuer.sign(claims()))).toMatch(/made anew/)
    await withOrg(fixture.deps.db, org.id, (tx) => tx.delete(memberships).where(mine))
    expect((await exchange(id, await issuer.sign(claims()))).status).toBe(404)
  })

  test('is not exchanged by the policy of somebody who left and came back; by a new one it is', async () => {
    const calls = await memberCalls(fixture, org)
    const { id } = await policyOf()
    const { access_token } = await exchanged(id, await issuer.sign(claims()))
    await calls.must('DELETE', `/members/${org.userIds.admin}`)
    expect(await works(access_token)).toBe(401)
    const { secret } = await calls.must<{ secret: string }>('POST', '/invitations', {
      email: 'back@example.test',
      role: 'admin',
    })
    const joined = await fixture.request('POST', '/v1/invitations/acceptances', { token: admin, body: { secret } })
    expect(joined.status).toBe(201)
    expect((await exchange(id, await issuer.sign(claims()))).status).toBe(404)
    expect(await (await fixture.request('GET', path(), { token: admin })).json()).toEqual([])
    const renewed = await policyOf()
    expect((await exchanged(renewed.id, await issuer.sign(claims()))).scope).toContain('bundles:write')
  })

  test('is not there when the maker is removed at the same moment', async () => {
    const { id } = await policyOf()
    const mine = and(eq(memberships.orgId, org.id), eq(memberships.userId, org.userIds.admin))
    const token = await issuer.sign(claims())
    const late = await withOrg(fixture.deps.db, org.id, async (tx) => {
      await tx.delete(memberships).where(mine)
      const answer = exchange(id, token, '203.0.113.5')
      await sleep(500)
      return { answer }
    })
    expect(await codeOf(await late.answer)).toEqual([404, 'not-found'])
  })

  test('another organization neither sees the policy nor ends it', async () => {
    const { id } = await policyOf()
    const rival = await fixture.createOrganization()
    const theirs = `/v1/organizations/${rival.id}/trust-policies`
    const token = rival.tokens.owner
    expect(await (await fixture.request('GET', theirs, { token })).json()).toEqual([])
    expect((await fixture.request('DELETE', `${theirs}/${id}`, { token })).status).toBe(404)
    const own = await fixture.request('GET', path(), { token: org.tokens.admin })
    expect(await own.json<Policy[]>()).toEqual([expect.objectContaining({ id, createdBy: org.userIds.admin })])
  })

  test('expired ones are removed by the control process, other tokens are not', async () => {
    const { id } = await policyOf()
    await exchanged(id, await issuer.sign(claims()))
    await withOrg(fixture.deps.db, org.id, (tx) =>
      tx.update(apiTokens).set({ expiresAt: sql`now() - interval '2 days'` }),
    )
    await using control = openDatabase({ url: fixture.databaseUrl('control'), applicationName: 'test', poolSize: 1 })
    await forgetExpired({ db: control.db } as ControlDeps)
    const rows = await withOrg(fixture.deps.db, org.id, (tx) => tx.select().from(apiTokens))
    expect([rows.length, rows.filter(({ trustPolicyId }) => trustPolicyId === id).length]).toEqual([
      Object.keys(org.tokens).length,
      0,
    ])
  })
})

describe('a trust policy', () => {
  test.each<[string, object, number, string]>([
    ['without a claim', { claims: {} }, 422, 'trust-policy-invalid'],
    ['with a pattern', { claims: { sub: '*:octo/app' } }, 422, 'trust-policy-invalid'],
    ['of GitHub by name only', { issuer: GITHUB, claims: { repository: 'octo/app' } }, 422, 'trust-policy-invalid'],
    [
      'of GitHub whose id is a name',
      { issuer: GITHUB, claims: { repository_id: 'octo' } },
      422,
      'trust-policy-invalid',
    ],
    [
      'of GitLab by path only',
      { issuer: 'https://gitlab.com', claims: { project_path: 'a/b' } },
      422,
      'trust-policy-invalid',
    ],
    ['about the audience', { claims: { aud: 'x' } }, 422, 'trust-policy-invalid'],
    ['about a prototype', { claims: { ['__proto__']: 'x', constructor: 'y' } }, 201, ''],
    ['with a scope that its maker lacks', { scopes: ['policies:write'] }, 403, 'scope-not-yours'],
    ['with a scope that gives others', { scopes: ['tokens:write'] }, 422, 'trust-policy-invalid'],
    ['with no such scope', { scopes: ['world:rule'] }, 422, 'scope-unknown'],
    ['of an issuer by http', { issuer: 'http://ci.example.com' }, 422, 'outbound-address-refused'],
    ['of an issuer in a private network', { issuer: 'https://10.0.0.1' }, 422, 'outbound-address-refused'],
    [
      'of an issuer with a query',
      { issuer: `${GITHUB}?a=b`, claims: { repository_id: '1' } },
      422,
      'outbound-address-refused',
    ],
    ['for an hour', { tokenMinutes: 60 }, 422, 'request-invalid'],
  ])('%s is judged', async (_what, changes, status, code) => {
    const answer = await create(changes)
    expect([answer.status, code === '' ? '' : (await answer.json()).code]).toEqual([status, code])
  })

  test('of GitHub by number is made, for this server unless it says otherwise', async () => {
    const policy = await policyOf({ issuer: GITHUB, audience: undefined, claims: { repository_owner_id: '9' } })
    expect(policy).toMatchObject({ audience: fixture.deps.publicUrl, claims: { repository_owner_id: ['9'] } })
  })

  test('is made in a session, by who may make tokens', async () => {
    expect(await codeOf(await create({}, org.tokens.admin))).toEqual([403, 'session-needed'])
    const member = (await fixture.signIn(org.userIds.member, { secondFactorAt: now })).token
    expect(await codeOf(await create({}, member))).toEqual([403, 'permission-missing'])
  })
})

describe('the issuer', () => {
  test('is not asked again for every unknown key', async () => {
    const { id } = await policyOf()
    await exchanged(id, await issuer.sign(claims()))
    const before = issuer.keyRequests()
    for (let index = 0; index < 12; index += 1) {
      await refusal(id, await issuer.sign(claims(), { kid: `made-up-${index}`, alg: 'RS256' }))
    }
    expect(issuer.keyRequests() - before).toBeLessThanOrEqual(1)
    await exchanged(id, await issuer.sign(claims()))
  })

  test('is asked for its keys however many others name them as their own', async () => {
    const impostors = createServer((request, response) => {
      const name = url + (request.url ?? '').replace('/.well-known/openid-configuration', '')
      response.end(JSON.stringify({ issuer: name, jwks_uri: `${issuer.url}/jwks` }))
    }).listen(0, '127.0.0.1')
    await once(impostors, 'listening')
    const host = `127.0.0.1:${(impostors.address() as AddressInfo).port}`
    const url = `http://${host}`
    const issuers = createIssuers(createOutbound({ privateHosts: [host, issuer.host] }))
    const token = await issuer.sign(claims())
    const verify = (name: string) =>
      verifyIssuedToken({ issuers, now: () => now }, token, { issuer: name, audience: AUDIENCE })
    for (let index = 0; index < 8; index += 1) {
      await expect(verify(`${url}/${index}`)).rejects.toThrow(/"iss" is not the right one/)
    }
    expect(await verify(issuer.url)).toMatchObject({ repository_id: '4711' })
    impostors.closeAllConnections()
    impostors.close()
  })

  test('that describes itself under another name is not believed, and one that fails is left alone for a while', async () => {
    await using third = await startTokenIssuer()
    const outboundPrivateHosts = [third.host]
    await using own = await createFixture({ overrides: { outboundPrivateHosts } })
    third.describe({ issuer: issuer.url })
    await expect(own.deps.issuers.find(third.url)).rejects.toMatchObject({ code: 'issuer-unavailable' })
    third.describe({})
    await expect(own.deps.issuers.find(third.url)).rejects.toMatchObject({ code: 'issuer-unavailable' })
    let clock = Date.now()
    const fresh = createIssuers(own.deps.outbound, () => clock)
    third.describe({ issuer: 'https://x.example' })
    await expect(fresh.find(third.url)).rejects.toThrow(/another name/)
    third.describe({})
    clock += 16_000
    expect((await fresh.find(third.url)).metadata.issuer).toBe(third.url)
  })
})
