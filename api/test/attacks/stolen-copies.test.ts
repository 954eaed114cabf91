import { execFile } from 'node:child_process'
import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { promisify } from 'node:util'

import { apps, newId, openDatabase, type OpenDatabase, withOrg } from '@capstan/migrations'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { createLog } from '../../src/create-log.js'
import { claimed, createTestApp, line, queueBuild, type TestApp, underLease } from '../build-fixture.js'
import { createFixture, type Fixture } from '../fixture.js'
import { findPgDump } from '../pg-dump.js'
import { formsOf, piecesOf } from '../secret-forms.js'
import { askSocket, type BrokerSocketPaths, chooseSockets, startTestBroker, type TestBroker } from '../test-broker.js'
import { expectStatus } from '../version-fixture.js'

const run = promisify(execFile)
const slot = `stolen_${randomBytes(6).toString('hex')}`
const unique = (what: string) => `canary-${what}-${randomBytes(9).toString('hex')}`
const pem = { type: 'pkcs8', format: 'pem' } as const

let written = ''
let fixture: Fixture
let sockets: BrokerSocketPaths
let broker: TestBroker
let app: TestApp
let owner: OpenDatabase
/** Between them is the write-ahead log of all that came in; other databases of the server write into the same one. */
let firstLsn: string
let lastLsn: string
/** Everything that must be nowhere, and what must be found by the same search. */
const secrets: (string | Uint8Array)[] = []
const ids: Record<string, string> = {}
const plain = [unique('plain'), unique('plain'), unique('plain')]

beforeAll(async () => {
  const out = new Writable({
    write: (chunk, _, done) => {
      written += String(chunk)
      done()
    },
  })
  sockets = await chooseSockets()
  fixture = await createFixture({ sealSocket: sockets.sealSocket, overrides: { log: createLog('api', 'debug', out) } })
  broker = await startTestBroker(fixture, sockets, createLog('broker', 'debug', out))
  owner = openDatabase({ url: fixture.ownerUrl, poolSize: 1 })
  // Keeps the write-ahead log from here on, whatever checkpoints come meanwhile.
  const [made] = await owner.sql<{ lsn: string }[]>`
    select pg_create_physical_replication_slot(${slot}, true), pg_current_wal_lsn()::text as lsn`
  firstLsn = made!.lsn
  app = await createTestApp(fixture)
  await useEverything()
  const [ended] = await owner.sql<{ lsn: string }[]>`select pg_current_wal_insert_lsn()::text as lsn`
  lastLsn = ended!.lsn
})
afterAll(async () => {
  await owner.sql`select pg_drop_replication_slot(${slot})`
  await owner[Symbol.asyncDispose]()
  await broker[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})

const send = (method: string, path: string, body: unknown, token = app.org.tokens.admin) =>
  fixture.request(method, path, { token, body })
function upload(path: string, file: Uint8Array | string, name: string, fields: Record<string, string> = {}) {
  const data = new FormData()
  data.append('file', new Blob([typeof file === 'string' ? file : new Uint8Array(file)]), name)
  for (const [key, value] of Object.entries(fields)) data.append(key, value)
  return send('POST', `/v1/apps/${app.id}/${path}`, data)
}
/** A key's own numbers, and the file that it came in. */
function hide(key: KeyObject, file: Uint8Array | string): void {
  secrets.push(...piecesOf(key.export({ type: 'pkcs8', format: 'der' })), ...piecesOf(Buffer.from(file)))
  const { d } = key.export({ format: 'jwk' })
  secrets.push(Buffer.from(d!, 'base64url').subarray(0, 32))
}

async function makeKeystore(password: string): Promise<Buffer> {
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  const script = `set -e; cat > "$0/k.pem"; cd "$0"; openssl req -x509 -new -key k.pem -subj /CN=stolen -days 9000 -out c.pem
    openssl pkcs12 -export -inkey k.pem -in c.pem -name upload -passout env:P12 -out k.p12; rm k.pem`
  const made = run('/bin/bash', ['-c', script, sockets.folder], { env: { ...process.env, P12: password } })
  made.child.stdin?.end(key.export(pem))
  await made
  const file = await readFile(join(sockets.folder, 'k.p12'))
  hide(key, file)
  return file
}

/** Each kind of credential and of other secret goes the way that it goes in a day, through every process. */
async function useEverything(): Promise<void> {
  const [password, wrong, webPassword] = [unique('keystore'), unique('wrong'), unique('web')]
  const [environment, adHoc, git] = [unique('environment'), unique('variable'), unique('git')]
  secrets.push(password, wrong, webPassword, environment, adHoc, git, ...Object.values(app.org.tokens))
  const keystore = await makeKeystore(password)
  const fields = { name: 'Store', platform: 'android' }
  await expectStatus(await upload('certificates', keystore, 'k.p12', { ...fields, password: wrong }), 422)
  const { id } = await expectStatus<{ id: string }>(
    await upload('certificates', keystore, 'k.p12', { ...fields, password }),
    201,
  )
  await expectStatus(await upload(`certificates/${id}/versions`, keystore, 'k.p12', { password }), 201)
  const active = { expectedActiveVersion: 1 }
  await expectStatus(await send('POST', `/v1/apps/${app.id}/certificates/${id}/versions/2/activate`, active), 200)
  Object.assign(ids, { appId: app.id, organizationId: app.org.id, certificateId: id, version: '2' })
  await uploadKeys(webPassword)
  const basic = { name: 'Ours', provider: 'github', auth: { kind: 'basic', username: 'ci', password: git } }
  const connections = `/v1/organizations/${app.org.id}/git-connections`
  Object.assign(ids, {
    connectionId: (await expectStatus<{ id: string }>(await send('POST', connections, basic), 201)).id,
  })
  const environmentId = await createEnvironment(environment)
  Object.assign(ids, { environmentId })
  await build(id, { environmentId, environment, adHoc })
  await askSocket(sockets.adminSocket, '/rotate', { body: { org: app.org.id } })
  await askSocket(sockets.adminSocket, '/rewrap', { body: { org: app.org.id } })
  await withOrg(fixture.deps.db, app.org.id, async (tx) => {
    for (const name of plain) await tx.insert(apps).values({ id: newId(), orgId: app.org.id, name, type: 'capacitor' })
  })
}

async function uploadKeys(webPassword: string): Promise<void> {
  const p8 = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  hide(p8, String(p8.export(pem)))
  const key = await upload('apple-api-keys', String(p8.export(pem)), 'AuthKey_ABCDE12345.p8')
  Object.assign(ids, { appleApiKeyId: (await expectStatus<{ id: string }>(key, 201)).id })
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  const account = {
    type: 'service_account',
    private_key: rsa.export(pem),
    client_email: 'publisher@shop-1.iam.gserviceaccount.com',
    token_uri: 'https://oauth2.googleapis.com/token',
  }
  hide(rsa, JSON.stringify(account))
  await expectStatus(await upload('google-service-account-keys', JSON.stringify(account), 'account.json'), 201)
  const allow = { webCertificatesAllowed: true }
  await expectStatus(await send('PATCH', `/v1/organizations/${app.org.id}`, allow, app.org.tokens.owner), 200)
  const web = generateKeyPairSync('ed25519').privateKey
  const file = String(web.export({ ...pem, cipher: 'aes-256-cbc', passphrase: webPassword }))
  hide(web, file)
  const fields = { name: 'Web', platform: 'web', password: webPassword }
  await expectStatus(await upload('certificates', file, 'web.pem', fields), 201)
}

async function createEnvironment(value: string): Promise<string> {
  const path = `/v1/apps/${app.id}/environments`
  const { id } = await expectStatus<{ id: string }>(
    await send('POST', path, { appId: app.id, name: 'Live' }, app.token),
    201,
  )
  expect((await send('POST', `${path}/${id}/secrets/set`, [{ key: 'KEY', value }], app.token)).status).toBe(204)
  return id
}

type Given = { environmentId: string; environment: string; adHoc: string }
async function build(certificateId: string, { environmentId, environment, adHoc }: Given): Promise<void> {
  const { id, jobId } = await queueBuild(fixture, app, {
    platform: 'android',
    type: 'release',
    appCertificateId: certificateId,
    appEnvironmentId: environmentId,
    adHocEnvironmentVariables: { AD_HOC: adHoc },
  })
  Object.assign(ids, { buildId: id, jobId })
  const claim = await claimed(fixture, await fixture.createWorker(), id)
  const { token } = claim.lease
  secrets.push(token)
  const body = { credentialId: certificateId, credentialVersion: 2, attempt: 1, step: 'sign' }
  expect((await askSocket(sockets.openSocket, '/open', { token, body })).status).toBe(200)
  const asked = { token, body: { attempt: 1, purpose: 'variables' } }
  const { text } = await askSocket(sockets.openSocket, '/open-secrets', asked)
  expect([text.includes(environment), text.includes(adHoc)]).toEqual([true, true])
  expect((await underLease(fixture, claim, 'logs', { batch: 1, lines: [line('signed')] })).status).toBeLessThan(300)
}

const bytesOf = (rows: Iterable<{ bytes: Uint8Array | null }>) => [...rows].flatMap(({ bytes }) => bytes ?? [])

/** Every row of every table, as text. */
async function everyRow(): Promise<Buffer> {
  const { sql } = owner
  const tables = await sql<{ name: string }[]>`
    select format('%I.%I', schemaname, tablename) as name from pg_tables
    where schemaname not in ('pg_catalog', 'information_schema')`
  const texts: string[] = []
  for (const { name } of tables) {
    const rows = await sql.unsafe<{ line: string }[]>(`select t::text as line from ${name} t`)
    texts.push(...rows.map(({ line }) => line))
  }
  return Buffer.from(texts.join('\n'))
}

/** The database's own files as they lie on the disk. */
async function dataFiles(): Promise<Buffer> {
  const { sql } = owner
  await sql`checkpoint`
  const rows = await sql<{ bytes: Uint8Array | null }[]>`
    select pg_read_binary_file(folder || name, 0, 1 << 29, true) as bytes
    from (select 'base/' || oid || '/' as folder from pg_database where datname = current_database()) d,
      lateral pg_ls_dir(folder) name`
  return Buffer.concat(bytesOf(rows))
}

/** The write-ahead log from the first secret to the last, which every replica and archive has as well. */
async function writeAheadLog(): Promise<Buffer> {
  const { sql } = owner
  const rows = await sql<{ bytes: Uint8Array | null }[]>`
    select pg_read_binary_file('pg_wal/' || name, 0, 1 << 29, true) as bytes from pg_ls_waldir()
    where name between pg_walfile_name(${firstLsn}::pg_lsn) and pg_walfile_name(${lastLsn}::pg_lsn)
    order by name`
  return Buffer.concat(bytesOf(rows))
}

async function folderOf(folder: string): Promise<Buffer> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => readFile(join(entry.parentPath, entry.name)))
  return Buffer.concat(await Promise.all(files))
}

const foundIn = (copy: Buffer, needles: readonly (string | Uint8Array)[]) =>
  needles.filter((secret) => formsOf(secret).some((form) => copy.includes(form))).length

const pgDump = await findPgDump()

type Copy = [what: string, take: () => Promise<Buffer>]
const dumped: Copy[] = pgDump === null ? [] : [['what pg_dump writes', () => pgDump(fixture.ownerUrl)]]

test.each<Copy>([
  ...dumped,
  ['every row as text', everyRow],
  ["the database's files", dataFiles],
  ['the write-ahead log', writeAheadLog],
])('%s has no secret in any form, and what was stored as it is', async (_, take) => {
  const copy = await take()
  expect(foundIn(copy, secrets)).toBe(0)
  // In files and log a page may end in the middle of a word, of one of three at the most.
  expect(foundIn(copy, plain)).toBeGreaterThanOrEqual(2)
})

test.each([
  ['the object store', () => folderOf(join(fixture.folder, 'objects'))],
  ['the key store', () => folderOf(broker.storeFolder)],
  ['the logs of API and broker', () => Promise.resolve(Buffer.from(written))],
])('%s has no secret in any form', async (_, take) => {
  const copy = await take()
  expect(copy.length).toBeGreaterThan(0)
  expect(foundIn(copy, secrets)).toBe(0)
})

test('no route answers a secret, whoever asks', async () => {
  const document = fixture.app.getOpenAPI31Document({ openapi: '3.1.0', info: { title: 'x', version: '1' } })
  // The stream of a running job has no end; its lines are those of the job.
  const endless = (item: object) => JSON.stringify(item).includes('text/event-stream')
  const paths = Object.entries(document.paths ?? {}).flatMap(([path, item]) =>
    item.get && !endless(item.get) ? [path] : [],
  )
  let shown = 0
  for (const path of paths) {
    const known = path.replaceAll(/\{([^}]+)\}/g, (_, name: string) => ids[name] ?? newId())
    const relations = /environments|builds|jobs/.test(path)
      ? '?relations=appEnvironmentVariables,appEnvironmentSecrets,job,job.jobLogs,jobLogs'
      : ''
    for (const url of [known, `${known}${relations}`]) {
      const answer = await fixture.request('GET', url, { token: app.org.tokens.owner })
      if (answer.status === 200) shown += 1
      expect([url, foundIn(Buffer.from(await answer.text()), secrets)]).toEqual([url, 0])
    }
  }
  expect(shown).toBeGreaterThan(40)
})

test('the search knows the forms', () => {
  for (const secret of [plain[0]!, randomBytes(32)]) {
    const bytes = Buffer.from(secret)
    const texts = ['', 'x', 'xx'].map((before) => Buffer.concat([Buffer.from(before), bytes]).toString('base64'))
    for (const text of [bytes, bytes.toString('hex'), ...texts]) expect(foundIn(Buffer.from(text), [secret])).toBe(1)
  }
})
