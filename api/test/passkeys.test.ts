import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import { createAuthenticator, type SoftwareAuthenticator } from './software-authenticator.js'

const ORIGIN = 'http://capstan.test'
const RP = 'capstan.test'

let fixture: Fixture
let org: TestOrganization
let now = new Date()

beforeAll(async () => {
  fixture = await createFixture({ overrides: { now: () => now } })
  org = await fixture.createOrganization()
})
afterAll(() => fixture[Symbol.asyncDispose]())

type Challenge = { challenge: string }
const call = (method: string, path: string, token?: string, body?: unknown) =>
  fixture.request(method, path, { ...(token ? { token } : {}), body })
const challenge = async () => (await call('POST', '/v1/passkeys/challenges')).json<Challenge>()
const signIn = (passkey: object) => call('POST', '/v1/sessions', undefined, { passkey })

async function register(authenticator: SoftwareAuthenticator, userId: string, origin = ORIGIN, rpId = RP) {
  const { token } = await fixture.signIn(userId, { secondFactorAt: now })
  const offered = await (await call('POST', '/v1/users/me/passkeys/challenges', token)).json<Challenge>()
  const response = authenticator.create(offered, origin, rpId)
  const answer = await call('POST', '/v1/users/me/passkeys', token, { name: 'Key', response })
  return { token, answer, response }
}

describe('a passkey', () => {
  test('signs its person in with two factors, and opens what is sensitive', async () => {
    const authenticator = createAuthenticator()
    const { answer } = await register(authenticator, org.userIds.owner)
    expect(answer.status).toBe(201)
    expect((await answer.json<{ recoveryCodes: string[] }>()).recoveryCodes).toHaveLength(10)
    const signedIn = await signIn(authenticator.get(await challenge(), ORIGIN, RP))
    expect(signedIn.status).toBe(201)
    const { token } = await signedIn.json<{ token: string }>()
    expect(await (await call('GET', '/v1/users/me', token)).json()).toMatchObject({
      id: org.userIds.owner,
      twoFactorEnabled: true,
    })
    const changed = await call('PATCH', `/v1/organizations/${org.id}`, token, {
      stepUpRequired: false,
      twoFactorRequired: false,
    })
    expect(changed.status).toBe(200)
    const confirmed = await call('POST', '/v1/sessions/current/second-factor', token, {
      passkey: authenticator.get(await challenge(), ORIGIN, RP),
    })
    expect(confirmed.status).toBe(204)
  })

  test('answers a challenge once, also at the same moment', async () => {
    const authenticator = createAuthenticator()
    await register(authenticator, org.userIds.admin)
    const response = authenticator.get(await challenge(), ORIGIN, RP)
    const answers = await Promise.all([signIn(response), signIn(response), signIn(response)])
    expect(answers.map(({ status }) => status).sort((a, b) => a - b)).toEqual([201, 400, 400])
    expect((await signIn(response)).status).toBe(400)
  })

  test.each<[string, (key: SoftwareAuthenticator, c: Challenge) => object]>([
    ['of another origin', (key, c) => key.get(c, 'http://evil.test', RP)],
    ['of another relying party', (key, c) => key.get(c, ORIGIN, 'evil.test')],
    ['without verifying its user', (key, c) => key.get(c, ORIGIN, RP, { flags: 0x01 })],
    [
      'for a challenge that is not ours',
      (key) => key.get({ challenge: Buffer.alloc(54).toString('base64url') }, ORIGIN, RP),
    ],
    ['that nobody registered', (_key, c) => createAuthenticator().get(c, ORIGIN, RP)],
    [
      'with the id of another key',
      (key, c) => ({ ...createAuthenticator().get(c, ORIGIN, RP), id: key.id, rawId: key.id }),
    ],
  ])('%s is refused', async (_name, answerOf) => {
    const authenticator = createAuthenticator()
    await register(authenticator, org.userIds.member)
    const refused = await signIn(answerOf(authenticator, await challenge()))
    expect([refused.status, (await refused.json()).code]).toEqual([400, 'passkey-refused'])
    expect((await signIn(authenticator.get(await challenge(), ORIGIN, RP))).status).toBe(201)
  })

  test('whose counter runs backwards is taken for a copy', async () => {
    const authenticator = createAuthenticator()
    await register(authenticator, org.userIds.viewer)
    expect((await signIn(authenticator.get(await challenge(), ORIGIN, RP, { counter: 9 }))).status).toBe(201)
    expect((await signIn(authenticator.get(await challenge(), ORIGIN, RP, { counter: 5 }))).status).toBe(400)
    expect((await signIn(authenticator.get(await challenge(), ORIGIN, RP, { counter: 10 }))).status).toBe(201)
  })

  test('is not accepted after its challenge has grown old', async () => {
    const authenticator = createAuthenticator()
    await register(authenticator, org.userIds.approver)
    const old = await challenge()
    now = new Date(now.getTime() + 6 * 60_000)
    expect((await signIn(authenticator.get(old, ORIGIN, RP))).status).toBe(400)
    expect((await signIn(authenticator.get(await challenge(), ORIGIN, RP))).status).toBe(201)
  })
})

describe('registering', () => {
  test('is refused for a foreign origin, an unverified user, a challenge of signing in, and the same key twice', async () => {
    const userId = org.userIds.billing
    expect((await register(createAuthenticator(), userId, 'http://evil.test')).answer.status).toBe(400)
    expect((await register(createAuthenticator(), userId, ORIGIN, 'evil.test')).answer.status).toBe(400)
    expect((await register(createAuthenticator(false), userId)).answer.status).toBe(400)
    const { token } = await fixture.signIn(userId, { secondFactorAt: now })
    const response = createAuthenticator().create(await challenge(), ORIGIN, RP)
    expect((await call('POST', '/v1/users/me/passkeys', token, { name: 'x', response })).status).toBe(400)
    const authenticator = createAuthenticator()
    expect((await register(authenticator, userId)).answer.status).toBe(201)
    expect((await register(authenticator, userId)).answer.status).toBe(409)
  })

  test('needs a session of the last five minutes, and never a token', async () => {
    const path = '/v1/users/me/passkeys/challenges'
    expect((await call('POST', path, org.tokens.owner)).status).toBe(403)
    const { token } = await fixture.signIn(org.userIds.viewer)
    expect((await (await call('POST', path, token)).json()).code).toBe('second-factor-missing')
  })

  test('tells a server without host name what to do', async () => {
    const publicUrl = fixture.deps.publicUrl
    fixture.deps.publicUrl = 'http://127.0.0.1:4400'
    const refused = await call('POST', '/v1/passkeys/challenges')
    fixture.deps.publicUrl = publicUrl
    expect(await refused.json()).toMatchObject({
      code: 'passkey-refused',
      message: expect.stringContaining('host name'),
    })
  })
})

test('a passkey is listed, and removed by its own person only', async () => {
  const organization = await fixture.createOrganization()
  const { answer, token } = await register(createAuthenticator(), organization.userIds.owner)
  const { id } = await answer.json<{ id: string }>()
  const other = await fixture.signIn(organization.userIds.admin, { secondFactorAt: now })
  expect((await call('DELETE', `/v1/users/me/passkeys/${id}`, other.token)).status).toBe(404)
  expect(await (await call('GET', '/v1/users/me/passkeys', token)).json<unknown>()).toMatchObject([{ id, name: 'Key' }])
  expect((await call('DELETE', `/v1/users/me/passkeys/${id}`, token)).status).toBe(204)
  expect(await (await call('GET', '/v1/users/me/passkeys', token)).json<unknown>()).toEqual([])
})
