import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'

import { deletionCertificates, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { SEAL_GRACE_MS } from '../src/broker/rewrap-organization.js'
import { openDirectoryKeyStore } from '../src/vault/directory-key-store.js'
import { createOrganizationKeys } from '../src/vault/organization-keys.js'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import { storeApp, storeCredential } from './leased-build.js'
import { type BrokerSocketPaths, chooseSockets, startTestBroker, type TestBroker } from './test-broker.js'
import { contextOf, openText, sealText } from './vault/key-lab.js'

const bin = fileURLToPath(new URL('../../sdk/bin/capstan.js', import.meta.url))
let fixture: Fixture
let sockets: BrokerSocketPaths
let broker: TestBroker
let org: TestOrganization
let appId: string
let home: string

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'capstan-keys-cli-'))
  sockets = await chooseSockets()
  fixture = await createFixture({ sealSocket: sockets.sealSocket })
  broker = await startTestBroker(fixture, sockets)
  org = await fixture.createOrganization()
  appId = await storeApp(fixture, org.id)
})
afterAll(async () => {
  await broker[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
  await rm(home, { recursive: true })
})

function keys(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [bin, 'keys', ...args], { env: {} }, (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code), out, err })
    })
  })
}
const asked = (action: string, ...args: string[]) => keys(action, '--socket', sockets.adminSocket, ...args)

test('rotate, rewrap and status work on a running broker', async () => {
  for (let count = 0; count < 3; count += 1) await storeCredential(fixture, org.id, appId, 'payload')
  expect((await asked('rotate', '--org', org.id)).out).toContain(`${org.id}: key version 2`)
  expect((await asked('rewrap', '--org', org.id)).out).toBe(`${org.id}: key version 2, 3 moved, 0 left\n`)
  broker.clock.offsetMs = SEAL_GRACE_MS + 1
  expect((await asked('rewrap', '--all')).out).toContain(
    `${org.id}: key version 2, 0 moved, 0 left; versions 1 removed`,
  )
  broker.clock.offsetMs = 0
  const status = JSON.parse((await asked('status')).out) as { rows: unknown[] }
  expect(status.rows).toContainEqual({ org: org.id, kekId: `org:${org.id}`, kekVersion: 2, count: 3 })
  expect(await asked('rewrap', '--org', org.id, '--root')).toMatchObject({
    code: 0,
    out: `${org.id}: 0 organization keys moved under local:test\n`,
  })
})

test('an organization that has no keys is refused by name', async () => {
  const { code, err } = await asked('rotate', '--org', '00000000-0000-7000-8000-000000000009')
  expect([code, err]).toEqual([1, 'capstan keys: The key store has no such organization. (KEY_NOT_FOUND)\n'])
})

test('a backup that is restored elsewhere opens what was sealed; the certificate of a deletion verifies offline', async () => {
  const ctx = contextOf({ org: org.id })
  const sealed = await sealText(broker.keys, ctx)
  const file = join(home, 'backup.json')
  expect((await asked('backup', file)).code).toBe(0)
  expect((await stat(file)).mode & 0o777).toBe(0o600)
  expect((await asked('backup', file)).err).toContain('exists already')
  expect((await keys('restore', file, join(home, 'store'))).code).toBe(0)
  const restored = createOrganizationKeys({
    root: broker.root,
    store: await openDirectoryKeyStore(join(home, 'store')),
  })
  expect(await openText(restored, ctx, sealed.envelope)).toBe(sealed.text)
  const text = await readFile(file, 'utf8')
  expect(text).not.toContain(sealed.text)

  const credential = await storeCredential(fixture, org.id, appId, 'payload')
  const { backupsUntil } = await fixture.deps.seal.destroyCredential({ org: org.id, credential: credential.id })
  const [row] = await withOrg(fixture.deps.db, org.id, (tx) =>
    tx.select().from(deletionCertificates).where(eq(deletionCertificates.subjectId, credential.id)),
  )
  const [certificate, key] = [join(home, 'certificate.json'), join(home, 'deletion.pem')]
  await writeFile(certificate, JSON.stringify(row?.document))
  expect((await asked('status', '--deletion-key', key)).code).toBe(0)
  const verified = await keys('verify', certificate, '--key', key)
  expect(verified.code).toBe(0)
  expect(verified.out).toContain(`destroyed: credential ${credential.id} of ${org.id}`)
  expect(verified.out).toContain(`until ${backupsUntil}`)
  const forged = { ...row?.document, payload: Buffer.from('{"v":1}').toString('base64') }
  await writeFile(certificate, JSON.stringify(forged))
  expect((await keys('verify', certificate, '--key', key)).err).toContain('BAD_SIGNATURE')
})
