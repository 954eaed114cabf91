import { generateKeyPairSync } from 'node:crypto'

import { auditEvents, withOrg } from '@capstan/migrations'
import { desc } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import { AppleAuthority, TEAM } from './apple-authority.js'
import { type Answer, createFixture, type Fixture, type TestOrganization } from './fixture.js'
import { keystoreBytes, storePassword } from './keystore-fixtures.js'
import { leaseBuild, storeApp } from './leased-build.js'
import { askSocket, type BrokerSocketPaths, chooseSockets, startTestBroker, type TestBroker } from './test-broker.js'

type Shown = Record<string, unknown> & { id: string }

const password = 'p12-password'
const pem = { type: 'pkcs8', format: 'pem' } as const
const p8 = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export(pem)
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export(pem)

let apple: AppleAuthority
let sockets: BrokerSocketPaths
let fixture: Fixture
let broker: TestBroker
let org: TestOrganization
let appId: string
let identity: Buffer

beforeAll(async () => {
  apple = await AppleAuthority.create()
  await apple.identity('ours')
  await apple.identity('other')
  await apple.identity('foreign', { team: 'OTHERTEAM1' })
  identity = await apple.p12('ours', password, '-legacy')
  sockets = await chooseSockets()
  const appleRoots = [await apple.fingerprint('root')]
  fixture = await createFixture({ sealSocket: sockets.sealSocket, overrides: { appleRoots } })
  broker = await startTestBroker(fixture, sockets)
  org = await fixture.createOrganization()
})
afterAll(async () => {
  await broker[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
  await apple[Symbol.asyncDispose]()
})
beforeEach(async () => {
  appId = await storeApp(fixture, org.id)
})

function form(file: Uint8Array | string, fileName: string, fields: Record<string, string> = {}): FormData {
  const data = new FormData()
  data.append('file', new Blob([typeof file === 'string' ? file : new Uint8Array(file)]), fileName)
  for (const [key, value] of Object.entries(fields)) data.append(key, value)
  return data
}

const ask = (method: string, path: string, body?: FormData | object, token = org.tokens.admin) =>
  fixture.request(method, `/v1/apps/${appId}/${path}`, { token, ...(body && { body }) })

async function created(answer: Answer): Promise<Shown> {
  expect([answer.status, answer.status === 201 ? '' : await answer.text()]).toEqual([201, ''])
  return answer.json<Shown>()
}

async function refused(answer: Answer, status: number, code: string, message: RegExp): Promise<void> {
  const problem = await answer.json<{ code: string; message: string }>()
  expect([answer.status, problem.code]).toEqual([status, code])
  expect(problem.message).toMatch(message)
}

const uploadIdentity = async (name = 'Store') =>
  created(await ask('POST', 'certificates', form(identity, 'ours.p12', { name, platform: 'ios', password })))
const uploadProfile = async (options: Partial<Parameters<AppleAuthority['profile']>[0]> = {}, fields = {}) =>
  ask(
    'POST',
    'provisioning-profiles',
    form(await apple.profile({ certificates: ['ours'], ...options }), 'app.mobileprovision', fields),
  )
const link = (ids: string[], appCertificateId: string | null) =>
  ask('PATCH', `provisioning-profiles?ids=${ids.join(',')}`, { appCertificateId })

describe('an Apple identity', () => {
  test('is shown with its team, without a secret, and opens for its build with a normalised key', async () => {
    const shown = await uploadIdentity()
    expect(shown).toMatchObject({
      platform: 'ios',
      kind: 'apple.identity',
      type: 'production',
      teamId: TEAM,
      fingerprintSha256: await apple.fingerprint('ours'),
      keyAlias: null,
      fileMimeType: 'application/x-pkcs12',
    })
    expect(JSON.stringify(shown)).not.toContain(password)
    const build = await leaseBuild(fixture, org.id, { id: shown.id, appId, version: 1, versionId: '' })
    const reply = await askSocket(sockets.openSocket, '/open', { token: build.token, body: build.request })
    expect(JSON.parse(reply.text)).toMatchObject({
      fileB64: identity.toString('base64'),
      password,
      chainDerB64: [expect.any(String)],
    })
  })

  test.each([
    ['wrong password', { password: 'x' }, 'keystore-password-wrong'],
    ['no password', { password: '' }, 'keystore-password-wrong'],
    ['an Android keystore', { android: true }, 'certificate-not-for-code-signing'],
  ])('%s', async (_, { android = false, ...fields }: { android?: boolean; password?: string }, code) => {
    const file = android ? keystoreBytes('rsa.p12') : identity
    const all = { name: 'X', platform: 'ios', password: android ? storePassword : password, ...fields }
    await refused(await ask('POST', 'certificates', form(file, 'x.p12', all)), 422, code, /./)
  })
})

describe('provisioning profiles', () => {
  test('come before their certificate and are linked to it, are listed, unlinked and deleted', async () => {
    const one = await created(await uploadProfile())
    const two = await created(
      await uploadProfile({ target: 'com.example.app.widget', certificates: ['other', 'ours'] }),
    )
    expect(one).toMatchObject({ appCertificateId: null, type: 'app-store', teamId: TEAM, platforms: ['iOS'] })
    const certificate = await uploadIdentity()
    expect((await link([one.id, two.id], certificate.id)).status).toBe(200)
    const listed = await (await ask('GET', `provisioning-profiles?appCertificateId=${certificate.id}`)).json<Shown[]>()
    expect(listed.map(({ id }) => id)).toEqual([two.id, one.id])
    expect(await (await ask('GET', `provisioning-profiles/${one.id}`)).json<Shown>()).toMatchObject({
      appCertificateId: certificate.id,
    })
    expect((await link([one.id], null)).status).toBe(200)
    expect((await ask('DELETE', `provisioning-profiles/${one.id}`)).status).toBe(204)
    await refused(await ask('GET', `provisioning-profiles/${one.id}`), 404, 'profile-not-found', /no such/)
    expect((await ask('DELETE', `certificates/${certificate.id}`)).status).toBe(204)
    expect(await (await ask('GET', `provisioning-profiles/${two.id}`)).json<Shown>()).toMatchObject({
      appCertificateId: null,
    })
  })

  // The clients call it by either name.
  test.each(['certificateId', 'appCertificateId'])(
    'are linked at once when the certificate is named by %s',
    async (key) => {
      const certificate = await uploadIdentity()
      const profile = await created(await uploadProfile({}, { [key]: certificate.id }))
      expect(profile).toMatchObject({ appCertificateId: certificate.id })
      const relink = async (id: string | null) => {
        const answer = await ask('PATCH', `provisioning-profiles?ids=${profile.id}`, { [key]: id })
        expect(answer.status).toBe(200)
        return (await answer.json<Shown[]>()).map(({ appCertificateId }) => appCertificateId)
      }
      expect(await relink(null)).toEqual([null])
      expect(await relink(certificate.id)).toEqual([certificate.id])
      const answer = await uploadProfile({}, { [key]: '018f0000-0000-7000-8000-000000000000' })
      await refused(answer, 404, 'credential-not-found', /no such/)
    },
  )

  test('uploaded again before they are linked are the same profile', async () => {
    const file = await apple.profile({ certificates: ['ours'] })
    const send = () => ask('POST', 'provisioning-profiles', form(file, 'app.mobileprovision'))
    const [one, again] = [await created(await send()), await created(await send())]
    expect(again.id).toBe(one.id)
  })

  test('are not linked to a certificate that they do not name, nor one of them alone', async () => {
    const certificate = await uploadIdentity()
    const [fits, differs] = [
      await created(await uploadProfile()),
      await created(await uploadProfile({ certificates: ['other'], target: 'b' })),
    ]
    const answer = await link([fits.id, differs.id], certificate.id)
    await refused(answer, 422, 'profile-certificate-mismatch', /does not name the certificate "Store"/)
    expect(await (await ask('GET', `provisioning-profiles/${fits.id}`)).json<Shown>()).toMatchObject({
      appCertificateId: null,
    })
    expect((await link([fits.id], certificate.id)).status).toBe(200)
  })

  test('of another team or another type do not go together', async () => {
    const certificate = await uploadIdentity()
    const foreign = await created(await uploadProfile({ team: 'OTHERTEAM1', target: 'c' }))
    await refused(await link([foreign.id], certificate.id), 422, 'profile-team-mismatch', /team OTHERTEAM1/)
    const store = await created(await uploadProfile())
    const adHoc = await created(await uploadProfile({ kind: 'ad-hoc', target: 'com.example.app.widget' }))
    await refused(await link([store.id, adHoc.id], certificate.id), 422, 'profile-type-mismatch', /ad-hoc, app-store/)
    expect((await link([store.id], certificate.id)).status).toBe(200)
    await refused(await link([adHoc.id], certificate.id), 422, 'profile-type-mismatch', /ad-hoc, app-store/)
  })

  test('do not belong to an Android keystore, nor to another app', async () => {
    const fields = { name: 'A', platform: 'android', password: storePassword }
    const android = await created(await ask('POST', 'certificates', form(keystoreBytes('ec.p12'), 'a.p12', fields)))
    const profile = await created(await uploadProfile())
    await refused(
      await link([profile.id], android.id),
      422,
      'profile-certificate-mismatch',
      /not an Apple signing identity/,
    )
    appId = await storeApp(fixture, org.id)
    const certificate = await uploadIdentity()
    await refused(await link([profile.id], certificate.id), 404, 'profile-not-found', /no provisioning profile/)
  })

  test.each([
    ['forged', () => apple.profile({ certificates: ['ours'], signer: 'other' }), 'profile-untrusted'],
    ['no profile', () => Promise.resolve(identity), 'profile-unrecognized'],
    ['too large', () => Promise.resolve(Buffer.alloc(512 * 1024 + 1)), 'credential-file-too-large'],
    ['expired', () => apple.profile({ certificates: ['ours'], expires: '2020-01-01T00:00:00Z' }), 'profile-expired'],
  ])('%s is refused', async (_, make, code) => {
    await refused(await ask('POST', 'provisioning-profiles', form(await make(), 'x.mobileprovision')), 422, code, /./)
    expect(await (await ask('GET', 'provisioning-profiles')).json<Shown[]>()).toEqual([])
  })
})

describe('keys of stores and of push services', () => {
  test('App Store Connect: the key id is in the name of the file', async () => {
    const issuerId = '69a6de70-0000-47e3-e053-5b8c7c11a4d1'
    const shown = await created(
      await ask('POST', 'apple-api-keys', form(String(p8), 'AuthKey_ABCDE12345.p8', { issuerId })),
    )
    expect(shown).toMatchObject({ purpose: 'app-store-connect', keyId: 'ABCDE12345', issuerId, teamId: null })
    expect(JSON.stringify(shown)).not.toMatch(/PRIVATE|fileB64/)
    expect(await (await ask('GET', `apple-api-keys/${shown.id}`)).json<Shown>()).toEqual(shown)
    expect(await (await ask('GET', 'certificates')).json<Shown[]>()).toEqual([])
    await refused(await ask('GET', `certificates/${shown.id}`), 404, 'credential-not-found', /no such/)
    expect((await ask('DELETE', `apple-api-keys/${shown.id}`)).status).toBe(204)
  })

  test('APNs: with team and key id; listed by purpose', async () => {
    const fields = { purpose: 'push', keyId: 'PUSHKEY123', teamId: TEAM, name: 'Push' }
    const shown = await created(await ask('POST', 'apple-api-keys', form(String(p8), 'key.p8', fields)))
    expect(shown).toMatchObject({ purpose: 'push', keyId: 'PUSHKEY123', teamId: TEAM, name: 'Push' })
    const list = async (purpose: string) => (await ask('GET', `apple-api-keys?purpose=${purpose}`)).json<Shown[]>()
    expect([(await list('push')).length, (await list('app-store-connect')).length]).toEqual([1, 0])
  })

  test.each([
    ['no key id', 'key.p8', String(p8), {}, 'key-id-missing'],
    ['an issuer that is none', 'AuthKey_ABCDE12345.p8', String(p8), { issuerId: 'me' }, 'request-invalid'],
    ['a key id that is none', 'key.p8', String(p8), { keyId: 'abc' }, 'request-invalid'],
    ['an RSA key', 'AuthKey_ABCDE12345.p8', String(rsa), {}, 'private-key-unsuitable'],
    ['a large file', 'AuthKey_ABCDE12345.p8', ' '.repeat(16_385), {}, 'credential-file-too-large'],
  ])('%s is refused', async (_, fileName, file, fields, code) => {
    await refused(await ask('POST', 'apple-api-keys', form(file, fileName, fields)), 422, code, /./)
  })

  test('Google service account', async () => {
    const account = {
      type: 'service_account',
      project_id: 'shop-1',
      private_key_id: 'abc',
      private_key: rsa,
      client_email: 'publisher@shop-1.iam.gserviceaccount.com',
      token_uri: 'https://oauth2.googleapis.com/token',
    }
    const send = (changes = {}) =>
      ask('POST', 'google-service-account-keys', form(JSON.stringify({ ...account, ...changes }), 'account.json'))
    await refused(await send({ token_uri: 'http://127.0.0.1/' }), 422, 'service-account-token-uri-refused', /token_uri/)
    const shown = await created(await send())
    expect(shown).toMatchObject({
      clientEmail: account.client_email,
      projectId: 'shop-1',
      privateKeyId: 'abc',
      name: 'account.json',
    })
    expect(await (await ask('GET', 'google-service-account-keys')).json<Shown[]>()).toEqual([shown])
    await refused(await send(), 409, 'credential-name-taken', /key named "account.json"/)
    expect((await ask('DELETE', `google-service-account-keys/${shown.id}`)).status).toBe(204)
  })
})

describe('web signing keys', () => {
  const send = (token?: string) =>
    ask('POST', 'certificates', form(String(rsa), 'web.pem', { name: 'Web', platform: 'web' }), token)
  const setting = (body: object, token = org.tokens.owner) =>
    fixture.request('PATCH', `/v1/organizations/${org.id}`, { token, body })

  test('are refused until an owner allows them, which is audited and shown', async () => {
    await refused(await send(), 422, 'web-certificates-not-allowed', /^The private key stays with you/)
    await refused(
      await setting({ webCertificatesAllowed: true }, org.tokens.admin),
      403,
      'permission-missing',
      /organizations:write/,
    )
    const answer = await setting({ webCertificatesAllowed: true })
    expect(await answer.json()).toMatchObject({ id: org.id, webCertificatesAllowed: true })
    const [event] = await withOrg(fixture.deps.db, org.id, (tx) =>
      tx.select().from(auditEvents).orderBy(desc(auditEvents.seq)).limit(1),
    )
    expect(JSON.parse(event?.event ?? '')).toMatchObject({
      action: 'organization.updated',
      data: { webCertificatesAllowed: { from: false, to: true } },
    })
    expect(await created(await send())).toMatchObject({
      platform: 'web',
      kind: 'web.signing-key',
      keyType: 'rsa',
      expiresAt: null,
    })
    const shown = await fixture.request('GET', `/v1/organizations/${org.id}`, { token: org.tokens.viewer })
    expect(await shown.json()).toMatchObject({ webCertificatesAllowed: true })
    await setting({ webCertificatesAllowed: false })
    appId = await storeApp(fixture, org.id)
    await refused(await send(), 422, 'web-certificates-not-allowed', /stays with you/)
  })
})

describe('delete by name', () => {
  test('takes the one that is meant, asks for the platform where there are two', async () => {
    const fields = { name: 'Store', platform: 'android', password: storePassword }
    await created(await ask('POST', 'certificates', form(keystoreBytes('ec.p12'), 'a.p12', fields)))
    await uploadIdentity('Store')
    await refused(await ask('DELETE', 'certificates?name=store'), 409, 'credential-ambiguous', /android and ios/)
    await refused(
      await ask('DELETE', 'certificates?name=store', undefined, org.tokens.member),
      403,
      'permission-missing',
      /write/,
    )
    await refused(await ask('DELETE', 'certificates'), 422, 'request-invalid', /name/)
    await refused(
      await ask('DELETE', 'certificates?name=store&platform=ios&type=development'),
      404,
      'credential-not-found',
      /store/,
    )
    await refused(await ask('DELETE', 'certificates?name=store&platform=tv'), 422, 'request-invalid', /platform/)
    await refused(await ask('DELETE', 'certificates?name=store&type=staging'), 422, 'request-invalid', /type/)
    const rival = (await fixture.createOrganization()).tokens.owner
    expect((await ask('DELETE', 'certificates?name=store&platform=ios', undefined, rival)).status).toBe(404)
    expect((await ask('DELETE', 'certificates?name=store&platform=ios&type=production')).status).toBe(204)
    const left = await (await ask('GET', 'certificates')).json<Shown[]>()
    expect(left.map(({ platform }) => platform)).toEqual(['android'])
    expect((await ask('DELETE', 'certificates?name=store')).status).toBe(204)
    expect(await (await ask('GET', 'certificates')).json<Shown[]>()).toEqual([])
  })
})
