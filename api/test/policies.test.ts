import { writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openCountries } from '../src/auth/country-of.js'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'

let fixture: Fixture
let org: TestOrganization
let owner: string

beforeAll(async () => {
  fixture = await createFixture()
})
beforeEach(async () => {
  org = await fixture.createOrganization()
  owner = (await fixture.signIn(org.userIds.owner, { secondFactorAt: new Date() })).token
})
afterAll(() => fixture[Symbol.asyncDispose]())

const set = (body: object, token = owner, address = '203.0.113.9') =>
  fixture.request('PATCH', `/v1/organizations/${org.id}`, { token, body, address })
const see = async (token: string, address = '203.0.113.9') =>
  (await fixture.request('GET', `/v1/organizations/${org.id}`, { token, address })).status
const codeOf = async (answer: Awaited<ReturnType<typeof set>>) => [answer.status, (await answer.json()).code]

describe('a list of networks', () => {
  test('keeps everybody else out, sessions and tokens alike, and is lifted again', async () => {
    const changed = await set({ ipAllowlist: ['203.0.113.0/24', '2001:db8::/48'] })
    expect(await changed.json()).toMatchObject({ ipAllowlist: ['203.0.113.0/24', '2001:db8::/48'] })
    for (const token of [owner, org.tokens.owner]) {
      expect([await see(token), await see(token, '198.51.100.1'), await see(token, '2001:db8::7')]).toEqual([
        200, 403, 200,
      ])
    }
    expect((await set({ ipAllowlist: null })).status).toBe(200)
    expect(await see(owner, '198.51.100.1')).toBe(200)
  })

  test('does not lock out whoever sets it, and names networks only', async () => {
    expect(await codeOf(await set({ ipAllowlist: ['198.51.100.0/24'] }))).toEqual([422, 'policy-locks-out'])
    expect(await codeOf(await set({ ipAllowlist: ['everywhere'] }))).toEqual([422, 'network-invalid'])
    expect(await codeOf(await set({ ipAllowlist: [] }))).toEqual([422, 'request-invalid'])
    expect(await see(owner)).toBe(200)
  })

  test('does not stand in the way of another organization', async () => {
    await set({ ipAllowlist: ['203.0.113.0/24'] })
    const rival = await fixture.createOrganization('Rival')
    const answer = await fixture.request('GET', `/v1/organizations/${rival.id}`, {
      token: rival.tokens.viewer,
      address: '198.51.100.1',
    })
    expect(answer.status).toBe(200)
  })
})

describe('a list of countries', () => {
  // Two networks that have been of their countries since the nineties: the university of Vienna, and MIT.
  const [vienna, cambridge] = ['131.130.1.1', '18.0.0.1']
  let bound: Fixture
  beforeAll(async () => {
    const file = createRequire(import.meta.url).resolve(
      '@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb',
    )
    bound = await createFixture({ overrides: { countryOf: await openCountries(file) } })
  })
  afterAll(() => bound[Symbol.asyncDispose]())

  async function settle() {
    const own = await bound.createOrganization()
    const { token } = await bound.signIn(own.userIds.owner, { secondFactorAt: new Date() })
    const ask = (method: string, address: string, options: { token?: string; body?: object }) =>
      bound.request(method, `/v1/organizations/${own.id}`, { token, address, ...options })
    return {
      own,
      set: (countryAllowlist: unknown, address = vienna) => ask('PATCH', address, { body: { countryAllowlist } }),
      see: async (address: string, by = token) => (await ask('GET', address, { token: by })).status,
    }
  }

  test('keeps everybody else out, and whose country is not known; it is lifted again', async () => {
    const { own, set, see } = await settle()
    expect(await (await set(['at', 'DE', 'AT'])).json()).toMatchObject({ countryAllowlist: ['AT', 'DE'] })
    for (const token of [undefined, own.tokens.viewer]) {
      expect([await see(vienna, token), await see(cambridge, token), await see('10.0.0.1', token)]).toEqual([
        200, 403, 403,
      ])
    }
    expect(await codeOf(await set(null, cambridge))).toEqual([403, 'address-not-allowed'])
    expect((await set(null)).status).toBe(200)
    expect(await see(cambridge)).toBe(200)
  })

  test('does not lock out whoever sets it, and names countries only', async () => {
    const { set, see } = await settle()
    expect(await codeOf(await set(['US']))).toEqual([422, 'policy-locks-out'])
    expect(await codeOf(await set(['AT'], '10.0.0.1'))).toEqual([422, 'policy-locks-out'])
    for (const wrong of [['Austria'], ['A1'], []])
      expect(await codeOf(await set(wrong))).toEqual([422, 'request-invalid'])
    expect(await see(cambridge)).toBe(200)
  })

  test('lets nobody in once the database is gone', async () => {
    const { set, see } = await settle()
    await set(['AT'])
    const { countryOf } = bound.deps
    bound.deps.countryOf = null
    expect(await see(vienna)).toBe(403)
    bound.deps.countryOf = countryOf
    expect(await see(vienna)).toBe(200)
  })

  test('is refused with the reason where the server has no database, not kept without effect', async () => {
    expect(await codeOf(await set({ countryAllowlist: ['AT'] }))).toEqual([422, 'country-list-unavailable'])
    expect((await set({ countryAllowlist: null, name: 'Renamed' })).status).toBe(200)
  })

  test('is read from a MaxMind DB and from nothing else', async () => {
    const file = join(bound.folder, 'countries.csv')
    await writeFile(file, '1.0.0.0,1.0.0.255,AU')
    await expect(openCountries(file)).rejects.toThrow(/no MaxMind DB/)
    await expect(openCountries(join(bound.folder, 'none.mmdb'))).rejects.toThrow(/ENOENT/)
  })
})

describe('a second factor for everybody', () => {
  test('refuses sessions without one, and lets the others and API tokens go on', async () => {
    const plain = (await fixture.signIn(org.userIds.member)).token
    expect(await see(plain)).toBe(200)
    expect((await set({ twoFactorRequired: true })).status).toBe(200)
    expect(await see(plain)).toBe(403)
    expect([await see(owner), await see(org.tokens.member)]).toEqual([200, 200])
    // Setting up a factor is the way back in, so it stays open.
    expect((await fixture.request('POST', '/v1/users/me/totp', { token: plain })).status).toBe(201)
  })
})

describe('policies', () => {
  test('change by an owner with a fresh second factor only, and each change is in the log', async () => {
    const admin = (await fixture.signIn(org.userIds.admin, { secondFactorAt: new Date() })).token
    expect(await codeOf(await set({ twoFactorRequired: true }, admin))).toEqual([403, 'permission-missing'])
    expect(await codeOf(await set({ twoFactorRequired: true }, org.tokens.owner))).toEqual([403, 'session-needed'])
    expect((await set({ twoFactorRequired: true })).status).toBe(200)
    const log = await fixture.request('GET', `/v1/organizations/${org.id}/audit-events?action=organization.updated`, {
      token: org.tokens.admin,
    })
    const [{ event }] = await log.json<[{ event: string }]>()
    expect(JSON.parse(event)).toMatchObject({
      actor: { id: org.userIds.owner, via: { type: 'session' } },
      data: { twoFactorRequired: { from: false, to: true } },
    })
  })
})
