import { createPrivateKey, X509Certificate } from 'node:crypto'

import {
  auditEvents,
  credentials,
  credentialVersions,
  deletionCertificates,
  jobs,
  openDatabase,
  withOrg,
} from '@capstan/migrations'
import { desc, eq } from 'drizzle-orm'
import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import { type Answer, createFixture, type Fixture, type TestOrganization } from './fixture.js'
import { keystore, keystoreBytes, storePassword } from './keystore-fixtures.js'
import { leaseBuild, storeApp } from './leased-build.js'
import { askSocket, type BrokerSocketPaths, chooseSockets, startTestBroker, type TestBroker } from './test-broker.js'

type Shown = Record<string, unknown> & { id: string }
type Problem = { code: string; message: string; detail: string; errors?: { pointer: string }[] }

let fixture: Fixture
let sockets: BrokerSocketPaths
let broker: TestBroker
let org: TestOrganization
let appId: string
let count = 0
const logLines: string[] = []

beforeAll(async () => {
  sockets = await chooseSockets()
  const log = pino({ level: 'trace' }, { write: (line) => logLines.push(line) })
  fixture = await createFixture({ sealSocket: sockets.sealSocket, overrides: { log } })
  broker = await startTestBroker(fixture, sockets, log)
  org = await fixture.createOrganization()
})
afterAll(async () => {
  await broker[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})
beforeEach(async () => {
  appId = await storeApp(fixture, org.id)
})

type Fields = Partial<Record<'name' | 'platform' | 'password' | 'keyAlias' | 'keyPassword', string>>

/** The form as the official CLI sends it: empty fields are left out. */
function form(file: Uint8Array | null, fields: Fields = {}, fileName = 'release.p12'): FormData {
  const data = new FormData()
  if (file !== null) data.append('file', new Blob([new Uint8Array(file)]), fileName)
  count += 1
  const all = { name: `Key ${count}`, platform: 'android', password: storePassword, ...fields }
  for (const [key, value] of Object.entries(all)) if (value !== '') data.append(key, value)
  return data
}

const upload = (body: FormData | object, token = org.tokens.admin, app = appId): Promise<Answer> =>
  fixture.request('POST', `/v1/apps/${app}/certificates`, { token, body })
const request = (method: string, path: string, body?: object, token = org.tokens.admin) =>
  fixture.request(method, `/v1/apps/${appId}/certificates${path}`, { token, ...(body && { body }) })

async function created(file = 'ec.p12', fields: Fields = {}): Promise<Shown> {
  const answer = await upload(form(keystoreBytes(file), fields))
  expect(answer.status).toBe(201)
  return answer.json<Shown>()
}

async function refused(answer: Answer, status: number, code: string, message: RegExp): Promise<void> {
  const problem = await answer.json<Problem>()
  expect([answer.status, problem.code]).toEqual([status, code])
  expect(problem.message).toMatch(message)
  expect(problem.message).toBe(problem.detail)
}

const storedCredentials = () =>
  withOrg(fixture.deps.db, org.id, (tx) => tx.select().from(credentials).where(eq(credentials.appId, appId)))

describe('an upload', () => {
  test('answers with what is in the keystore and nothing secret', async () => {
    const shown = await created('rsa.p12', { name: 'Release', keyAlias: 'UPLOAD' })
    expect(shown).toMatchObject({
      appId,
      name: 'Release',
      nameLower: 'release',
      platform: 'android',
      type: 'production',
      version: 1,
      fileName: 'release.p12',
      fileMimeType: 'application/x-pkcs12',
      fileSizeInBytes: keystoreBytes('rsa.p12').length,
      keyAlias: 'upload',
      fingerprintSha256: keystore('rsa.p12').sha256[0],
      subject: 'CN=Upload Key, O=Capstan Test',
      keyType: 'rsa',
      keyBits: 2048,
      warnings: [],
      createdBy: org.userIds.admin,
    })
    expect(Date.parse(String(shown.expiresAt))).toBeGreaterThan(Date.parse('2050-01-01'))
    const text = JSON.stringify(shown)
    expect(text).not.toContain(storePassword)
    expect(text).not.toMatch(/password|envelope|fileB64/i)
  })

  test('is opened by the broker for a leased build, with file, passwords and the alias of the keystore', async () => {
    const shown = await created('rsa.jks', { keyAlias: 'uPLOAD', keyPassword: 'other-key-pass' })
    const credential = { id: shown.id, appId, version: 1, versionId: '' }
    const build = await leaseBuild(fixture, org.id, credential)
    const reply = await askSocket(sockets.openSocket, '/open', { token: build.token, body: build.request })
    const { keyPkcs8B64, chainDerB64, ...original } = JSON.parse(reply.text) as Record<string, unknown>
    expect([reply.status, original]).toEqual([
      200,
      {
        fileB64: keystore('rsa.jks').fileB64,
        filename: 'release.p12',
        password: storePassword,
        keyAlias: 'upload',
        keyPassword: 'other-key-pass',
      },
    ])
    const key = createPrivateKey({ key: Buffer.from(String(keyPkcs8B64), 'base64'), format: 'der', type: 'pkcs8' })
    const [own] = (chainDerB64 as string[]).map((der) => new X509Certificate(Buffer.from(der, 'base64')))
    expect(own?.checkPrivateKey(key)).toBe(true)
    expect(own?.fingerprint256.replaceAll(':', '').toLowerCase()).toBe(keystore('rsa.jks').sha256[0])
  })

  test('without key password seals the store password as the key password', async () => {
    const shown = await created('ec.jks')
    const build = await leaseBuild(fixture, org.id, { id: shown.id, appId, version: 1, versionId: '' })
    const reply = await askSocket(sockets.openSocket, '/open', { token: build.token, body: build.request })
    expect(JSON.parse(reply.text)).toMatchObject({ password: storePassword, keyPassword: storePassword })
  })

  test('of a debug key is of type development', async () => {
    expect(await created('debug.p12', { password: 'android' })).toMatchObject({ type: 'development' })
  })

  test('keeps the last part of a file name only', async () => {
    const answer = await upload(form(keystoreBytes('ec.p12'), {}, '../../etc/x\u0001.p12'))
    expect((await answer.json<Shown>()).fileName).toBe('x.p12')
  })

  test('is recorded in the audit trail with the fingerprint, without subject or file name', async () => {
    const shown = await created()
    const rows = await withOrg(fixture.deps.db, org.id, (tx) =>
      tx.select().from(auditEvents).orderBy(desc(auditEvents.seq)).limit(3),
    )
    expect(rows.map(({ action }) => action)).toEqual([
      'credential.version_validated',
      'credential.canary_signed',
      'credential.created',
    ])
    const row = rows.at(-1)
    expect(JSON.parse(row?.event ?? '')).toMatchObject({
      action: 'credential.created',
      target: { app: appId, credential: shown.id },
      data: { platform: 'android', kind: 'android.keystore', version: 1, fingerprint: keystore('ec.p12').sha256[0] },
    })
    expect(row?.event).not.toMatch(/Upload Key|release\.p12/)
  })

  test('leaves neither password nor key in any table, in no encoding', async () => {
    const keyPassword = 'other-key-pass'
    await created('rsa.jks', { keyPassword })
    const bytes = keystoreBytes('rsa.jks')
    const needles = [storePassword, keyPassword].flatMap((text) => [
      text,
      Buffer.from(text).toString('base64').slice(0, -4),
      Buffer.from(text).toString('hex'),
      Buffer.from(text, 'utf16le').toString('hex'),
    ])
    needles.push(bytes.subarray(40, 80).toString('hex'), bytes.toString('base64').slice(40, 90))
    const dump = await dumpDatabase(fixture.ownerUrl)
    expect(dump).toContain(keystore('rsa.jks').sha256[0])
    for (const needle of needles) expect(dump).not.toContain(needle)
  })
})

describe('a refused upload stores nothing', () => {
  const text = (content: string) => Buffer.from(content)
  const bytes = keystoreBytes
  const cases: [string, () => FormData | object, number, string, RegExp][] = [
    ['wrong password', () => form(bytes('ec.p12'), { password: 'nope' }), 422, 'keystore-password-wrong', /is wrong/],
    ['no password', () => form(bytes('ec.p12'), { password: '' }), 422, 'keystore-password-missing', /^password:/],
    [
      'an absent alias',
      () => form(bytes('ec.p12'), { keyAlias: 'x' }),
      422,
      'keystore-alias-not-found',
      /has: "upload"/,
    ],
    ['several keys and no alias', () => form(bytes('two.jks')), 422, 'keystore-alias-not-found', /"one", "two"/],
    [
      'a wrong key password',
      () => form(bytes('rsa.jks'), { keyPassword: 'x' }),
      422,
      'key-password-wrong',
      /own|wrong/,
    ],
    ['not a keystore', () => form(text('hello')), 422, 'keystore-unrecognized', /no keystore/],
    ['a JCEKS keystore', () => form(bytes('jceks.jceks')), 422, 'keystore-unsupported-format', /importkeystore/],
    ['certificates only', () => form(bytes('cert-only.p12')), 422, 'keystore-no-private-key', /private key/],
    ['an expired certificate', () => form(bytes('expired.p12')), 422, 'keystore-certificate-expired', /expired on/],
    ['a bomb', () => form(bytes('bomb.p12')), 422, 'keystore-too-costly', /rounds/],
    ['half a file', () => form(bytes('ec.p12').subarray(0, 500)), 422, 'keystore-unrecognized', /not a complete/],
    ['a large file', () => form(Buffer.alloc(1024 * 1024 + 1)), 422, 'keystore-too-large', /1048576 bytes/],
    [
      'web, which the organization has not asked for',
      () => form(text('-----BEGIN PRIVATE KEY-----'), { platform: 'web' }),
      422,
      'web-certificates-not-allowed',
      /^The private key stays with you/,
    ],
    ['an unknown platform', () => form(bytes('ec.p12'), { platform: 'tv' }), 422, 'request-invalid', /^platform:/],
    ['no file', () => form(null), 422, 'request-invalid', /^file: Send the keystore/],
    ['no name', () => form(bytes('ec.p12'), { name: '' }), 422, 'request-invalid', /^name:/],
    [
      'a line break in a password',
      () => form(bytes('ec.p12'), { password: 'a\nb' }),
      422,
      'request-invalid',
      /line break/,
    ],
    ['JSON in place of a form', () => ({ name: 'x', platform: 'android' }), 400, 'request-malformed', /Content-Type/],
  ]
  test.each(cases)('%s', async (_, body, status, code, message) => {
    await refused(await upload(body()), status, code, message)
    expect(await storedCredentials()).toEqual([])
  })

  test('the broker is away: 409, because the official CLI would hang on 5xx, and the next try works', async () => {
    const away = await createFixture({ sealSocket: `${sockets.folder}/away.sock` })
    const theirs = await away.createOrganization()
    const theirApp = await storeApp(away, theirs.id)
    const path = `/v1/apps/${theirApp}/certificates`
    const answer = await away.request('POST', path, { token: theirs.tokens.admin, body: form(bytes('ec.p12')) })
    await refused(answer, 409, 'upload-not-stored', /nothing was stored/)
    const list = await away.request('GET', path, { token: theirs.tokens.admin })
    expect(await list.json<unknown>()).toEqual([])
    await away[Symbol.asyncDispose]()
    await created()
  })

  test('no answer and no log line quotes a password', async () => {
    const canary = 'canary-4be1c0'
    const answers = [
      await upload(form(bytes('ec.p12'), { password: canary })),
      await upload(form(bytes('rsa.jks'), { keyPassword: canary })),
      await upload(form(bytes('ec.p12'), { password: `${canary}\n` })),
      await upload(form(bytes('ec.p12'), { platform: 'tv', password: canary })),
    ]
    for (const answer of answers) {
      expect(answer.status).toBe(422)
      expect(await answer.text()).not.toContain(canary)
    }
    await created()
    expect(logLines.join('')).not.toContain(canary)
    expect(logLines.join('')).not.toContain(storePassword)
  })
})

describe('names', () => {
  test('are unique in an app and platform, whatever their case', async () => {
    await created('ec.p12', { name: 'Play Store' })
    const again = await upload(form(keystoreBytes('ec.jks'), { name: ' play STORE ' }))
    await refused(again, 409, 'credential-name-taken', /named "play STORE" already/)
    expect(await storedCredentials()).toHaveLength(1)
    const elsewhere = await storeApp(fixture, org.id)
    const other = await upload(form(keystoreBytes('ec.p12'), { name: 'Play Store' }), org.tokens.admin, elsewhere)
    expect(other.status).toBe(201)
  })

  test('of two uploads at the same time one wins', async () => {
    const answers = await Promise.all([1, 2].map(() => upload(form(keystoreBytes('ec.p12'), { name: 'Race' }))))
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([201, 409])
    expect(await storedCredentials()).toHaveLength(1)
  })
})

describe('list, get, rename and delete', () => {
  test('a list is a bare array, newest first, with exact and partial name filters', async () => {
    for (const name of ['Alpha', 'Beta 50%', 'Alphabet']) await created('ec.p12', { name })
    const names = async (query: string) => {
      const answer = await request('GET', query)
      expect(answer.status).toBe(200)
      return (await answer.json<Shown[]>()).map(({ name }) => name)
    }
    expect(await names('')).toEqual(['Alphabet', 'Beta 50%', 'Alpha'])
    expect(await names('?name=alpha&platform=android')).toEqual(['Alpha'])
    expect(await names('?query=alph')).toEqual(['Alphabet', 'Alpha'])
    expect(await names('?query=50%25')).toEqual(['Beta 50%'])
    expect(await names('?platform=ios')).toEqual([])
    expect(await names('?type=development')).toEqual([])
    expect(await names('?limit=1&offset=1')).toEqual(['Beta 50%'])
  })

  test('get answers the same as the upload did', async () => {
    const shown = await created()
    expect(await (await request('GET', `/${shown.id}`)).json<Shown>()).toEqual(shown)
  })

  test('a rename takes the whole object as the CLI sends it', async () => {
    const shown = await created()
    const body = { appId, certificateId: shown.id, name: 'Renamed' }
    const answer = await request('PATCH', `/${shown.id}`, body)
    expect([answer.status, await answer.json<Shown>()]).toEqual([
      200,
      expect.objectContaining({ id: shown.id, name: 'Renamed', nameLower: 'renamed' }),
    ])
    const other = await created()
    await refused(await request('PATCH', `/${other.id}`, { name: 'RENAMED' }), 409, 'credential-name-taken', /RENAMED/)
  })

  test.each(['password', 'keyAlias', 'keyPassword'])('%s cannot be changed without the file', async (key) => {
    const shown = await created()
    const answer = await request('PATCH', `/${shown.id}`, { name: 'Other', [key]: 'canary-9f' })
    const problem = await answer.json<Problem>()
    expect([answer.status, problem.code, problem.errors?.[0]?.pointer]).toEqual([422, 'request-invalid', `/${key}`])
    expect(problem.message).toMatch(/upload the keystore again/)
    expect(problem.message).not.toContain('canary')
    expect((await (await request('GET', `/${shown.id}`)).json<Shown>()).name).toBe(shown.name)
  })

  test('delete removes every version; a second delete finds nothing', async () => {
    const shown = await created()
    expect((await request('DELETE', `/${shown.id}`)).status).toBe(204)
    const left = await withOrg(fixture.deps.db, org.id, (tx) =>
      tx.select().from(credentialVersions).where(eq(credentialVersions.credentialId, shown.id)),
    )
    expect(left).toEqual([])
    await refused(await request('DELETE', `/${shown.id}`), 404, 'credential-not-found', /no such/)
  })

  test('deleting the app destroys the keys of its credentials, each with a deletion certificate', async () => {
    const { id } = await created()
    expect((await fixture.request('DELETE', `/v1/apps/${appId}`, { token: org.tokens.owner })).status).toBe(204)
    const certificates = await withOrg(fixture.deps.db, org.id, (tx) =>
      tx.select().from(deletionCertificates).where(eq(deletionCertificates.subjectId, id)),
    )
    expect(certificates).toHaveLength(1)
    expect((await request('GET', `/${id}`)).status).toBe(404)
  })

  test('delete waits for builds that will sign with it', async () => {
    const shown = await created()
    const build = await leaseBuild(fixture, org.id, { id: shown.id, appId, version: 1, versionId: '' })
    await refused(await request('DELETE', `/${shown.id}`), 409, 'credential-in-use', /^Build \d+ is not finished/)
    await withOrg(fixture.deps.db, org.id, (tx) =>
      tx.update(jobs).set({ status: 'failed', finishedAt: new Date() }).where(eq(jobs.id, build.jobId)),
    )
    expect((await request('DELETE', `/${shown.id}`)).status).toBe(204)
  })
})

describe('who may', () => {
  test.each(['viewer', 'approver', 'member'] as const)('a %s reads, and changes nothing', async (role) => {
    const shown = await created()
    const token = org.tokens[role]
    expect((await request('GET', '', undefined, token)).status).toBe(200)
    expect((await request('GET', `/${shown.id}`, undefined, token)).status).toBe(200)
    const denied = [
      await upload(form(keystoreBytes('ec.p12')), token),
      await request('PATCH', `/${shown.id}`, { name: 'x' }, token),
      await request('DELETE', `/${shown.id}`, undefined, token),
    ]
    for (const answer of denied) await refused(answer, 403, 'permission-missing', /credentials:write/)
  })

  test('another organization sees nothing, as if the app did not exist', async () => {
    const shown = await created()
    const { tokens } = await fixture.createOrganization('Rival')
    const answers = [
      await upload(form(keystoreBytes('ec.p12')), tokens.owner),
      await request('GET', '', undefined, tokens.owner),
      await request('GET', `/${shown.id}`, undefined, tokens.owner),
      await request('PATCH', `/${shown.id}`, { name: 'x' }, tokens.owner),
      await request('DELETE', `/${shown.id}`, undefined, tokens.owner),
    ]
    for (const answer of answers) expect(answer.status).toBe(404)
    expect((await request('GET', `/${shown.id}`)).status).toBe(200)
  })

  test("another app's certificate is not found under this app", async () => {
    const shown = await created()
    appId = await storeApp(fixture, org.id)
    for (const method of ['GET', 'DELETE']) {
      await refused(await request(method, `/${shown.id}`), 404, 'credential-not-found', /This app/)
    }
  })
})

async function dumpDatabase(url: string): Promise<string> {
  await using database = openDatabase({ url, poolSize: 1 })
  const { sql } = database
  const tables = await sql<{ name: string }[]>`
    select table_name as name from information_schema.tables where table_schema = 'public' and table_type = 'BASE TABLE'`
  const rows = await Promise.all(tables.map(({ name }) => sql`select t::text as row from ${sql(name)} t`))
  return rows.flatMap((list) => list.map(({ row }) => String(row))).join('\n')
}
