import { statSync } from 'node:fs'

import { auditEvents, deletionCertificates, newId, type OpenDatabase, openDatabase, withOrg } from '@capstan/migrations'
import { importPlatformKey, openEnvelope } from '@capstan/sdk/release'
import { asc, eq } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { DELETION_CERTIFICATE_TYPE } from '../src/broker/destroy-keys.js'
import { SEAL_GRACE_MS } from '../src/broker/rewrap-organization.js'
import { sealEnvelope } from '../src/vault/envelope.js'
import { KeysUnavailable } from '../src/vault/key-manager.js'
import { Secret } from '../src/vault/secret.js'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import { leaseBuild, type LeasedBuild, storeApp, storeCredential, type StoredCredential } from './leased-build.js'
import { askSocket, type BrokerSocketPaths, chooseSockets, startTestBroker, type TestBroker } from './test-broker.js'

const REFUSED = { status: 403, text: '{"code":"open-refused","message":"The credential cannot be opened."}' }
const payload = JSON.stringify({ fileB64: 'AAAA', filename: 'k.p12', password: 'p', keyAlias: 'a', keyPassword: 'p' })

let fixture: Fixture
let sockets: BrokerSocketPaths
let broker: TestBroker
let opened: OpenDatabase
let owner: OpenDatabase['sql']

beforeAll(async () => {
  sockets = await chooseSockets()
  fixture = await createFixture({ sealSocket: sockets.sealSocket })
  broker = await startTestBroker(fixture, sockets)
  opened = openDatabase({ url: fixture.ownerUrl, poolSize: 1 })
  owner = opened.sql
})
afterAll(async () => {
  await opened[Symbol.asyncDispose]()
  await broker[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})

type Place = { org: TestOrganization; appId: string }
async function settle(): Promise<Place> {
  const org = await fixture.createOrganization()
  return { org, appId: await storeApp(fixture, org.id) }
}
const store = ({ org, appId }: Place, text = payload) => storeCredential(fixture, org.id, appId, text)
async function use(orgId: string, credential: StoredCredential) {
  const build = await leaseBuild(fixture, orgId, credential)
  return askSocket(sockets.openSocket, '/open', { token: build.token, body: build.request })
}
async function admin(path: string, body?: unknown) {
  const method = body === undefined ? 'GET' : 'POST'
  const { status, text } = await askSocket(sockets.adminSocket, path, { method, body })
  return { status, json: JSON.parse(text) as Record<string, unknown> }
}
type StoredEvent = { action: string; target: Record<string, string>; data: Record<string, unknown> }
async function events(orgId: string): Promise<StoredEvent[]> {
  const rows = await withOrg(fixture.deps.db, orgId, (tx) =>
    tx.select().from(auditEvents).orderBy(asc(auditEvents.seq)),
  )
  return rows.map(({ event }) => JSON.parse(event) as StoredEvent)
}
const lastEvent = async (orgId: string) => (await events(orgId)).at(-1)

describe('D03: envelopes that change places', () => {
  test("two organizations' rows swapped by SQL open neither, with one and the same answer and an event each", async () => {
    const [one, other] = [await settle(), await settle()]
    const [mine, theirs] = [await store(one), await store(other)]
    expect((await use(one.org.id, mine)).status).toBe(200)
    await owner`update credential_versions v set envelope = w.envelope, kek_id = w.kek_id, kek_version = w.kek_version
      from credential_versions w where (v.id, w.id) in ((${mine.versionId}, ${theirs.versionId}), (${theirs.versionId}, ${mine.versionId}))`
    for (const [place, credential] of [
      [one, mine],
      [other, theirs],
    ] as const) {
      expect(await use(place.org.id, credential)).toEqual(REFUSED)
      expect(await lastEvent(place.org.id)).toMatchObject({
        action: 'credential.decrypt_failed',
        data: { reason: 'unreadable' },
      })
    }
  })

  test('another kind, and an older version put back, do not open', async () => {
    const place = await settle()
    const [kind, older] = [await store(place), await store(place)]
    await owner`update credentials set kind = 'apple.identity' where id = ${kind.id}`
    expect(await use(place.org.id, kind)).toEqual(REFUSED)
    const ctx = { org: place.org.id, app: place.appId, credential: older.id, kind: 'android.keystore', version: '2' }
    const second = await fixture.deps.seal.seal(ctx, new Secret(Buffer.from(payload)))
    await owner`update credential_versions set version = 2 where id = ${older.versionId}`
    expect(await use(place.org.id, { ...older, version: 2 })).toEqual(REFUSED)
    await owner`update credential_versions set envelope = ${second.envelope} where id = ${older.versionId}`
    expect((await use(place.org.id, { ...older, version: 2 })).status).toBe(200)
  })
})

describe('whoever writes to the database and holds a lease of its own', () => {
  /** The attacker's token, put by SQL on a lease of the victim's build; the attacker has no key to bind it with. */
  async function graft(change: (victim: LeasedBuild, mine: LeasedBuild) => Promise<unknown>) {
    const [attacker, place] = [await settle(), await settle()]
    const [bait, target] = [await store(attacker), await store(place)]
    const [mine, theirs] = [
      await leaseBuild(fixture, attacker.org.id, bait),
      await leaseBuild(fixture, place.org.id, target),
    ]
    expect((await use(place.org.id, target)).status).toBe(200)
    await change(theirs, mine)
    const reply = await askSocket(sockets.openSocket, '/open', { token: mine.token, body: theirs.request })
    return { reply, place }
  }
  const altered = { action: 'credential.use_refused', outcome: 'refused', data: { reason: 'lease-altered' } }

  test("opens nothing with its token on another organization's lease", async () => {
    const { reply, place } = await graft(async (theirs, mine) => {
      const [own] = await owner`delete from leases where id = ${mine.leaseId} returning token_hash, binding`
      await owner`update leases set token_hash = ${String(own?.token_hash)} where id = ${theirs.leaseId}`
    })
    expect(reply).toEqual(REFUSED)
    expect(await lastEvent(place.org.id)).toMatchObject(altered)
  })

  test('nor with the binding of its own lease beside it', async () => {
    const { reply, place } = await graft(async (theirs, mine) => {
      const [own] = await owner`delete from leases where id = ${mine.leaseId} returning token_hash, binding`
      const values = [String(own?.token_hash), String(own?.binding)] as const
      await owner`update leases set token_hash = ${values[0]}, binding = ${values[1]} where id = ${theirs.leaseId}`
    })
    expect(reply).toEqual(REFUSED)
    expect(await lastEvent(place.org.id)).toMatchObject(altered)
  })

  test('nor another credential of its own organization than the build had when it was claimed', async () => {
    const place = await settle()
    const [chosen, other] = [await store(place), await store(place)]
    const build = await leaseBuild(fixture, place.org.id, chosen)
    await owner`update builds set credential_id = ${other.id} where id = ${build.buildId}`
    const body = { ...build.request, credentialId: other.id }
    expect(await askSocket(sockets.openSocket, '/open', { token: build.token, body })).toEqual(REFUSED)
    expect(await lastEvent(place.org.id)).toMatchObject(altered)
  })
})

async function readCertificate(orgId: string, subjectId: string) {
  const [row] = await withOrg(fixture.deps.db, orgId, (tx) =>
    tx.select().from(deletionCertificates).where(eq(deletionCertificates.subjectId, subjectId)),
  )
  const key = await importPlatformKey(broker.deletionSigner.publicKeyPem)
  const opened = await openEnvelope(row?.document, DELETION_CERTIFICATE_TYPE, [key])
  return JSON.parse(Buffer.from(opened.payload).toString('utf8')) as Record<string, unknown>
}

describe('destroying a credential', () => {
  test("yesterday's database beside today's key store does not bring it back", async () => {
    const place = await settle()
    const [kept, gone] = [await store(place), await store(place)]
    await owner.unsafe(`create table backup_credentials as select * from credentials where id = '${gone.id}';
      create table backup_versions as select * from credential_versions where credential_id = '${gone.id}'`)
    await fixture.deps.seal.destroyCredential({ org: place.org.id, credential: gone.id })
    await owner`delete from credentials where id = ${gone.id}`
    await owner`insert into credentials select * from backup_credentials`
    await owner`insert into credential_versions select * from backup_versions`
    const [row] = await owner`select status from credential_versions where credential_id = ${gone.id}`
    expect(row).toEqual({ status: 'active' })
    expect(await use(place.org.id, gone)).toEqual(REFUSED)
    expect(await lastEvent(place.org.id)).toMatchObject({
      action: 'credential.decrypt_failed',
      target: { credential: gone.id },
      data: { reason: 'key-destroyed' },
    })
    expect(await use(place.org.id, kept)).toEqual({ status: 200, text: payload })
  })

  test('gives one signed certificate, however often it is asked for', async () => {
    const place = await settle()
    const credential = await store(place)
    const subject = { org: place.org.id, credential: credential.id }
    const destroyed = await fixture.deps.seal.destroyCredential(subject)
    expect(await fixture.deps.seal.destroyCredential(subject)).toEqual(destroyed)
    expect(await readCertificate(place.org.id, credential.id)).toEqual({
      v: 1,
      id: destroyed.certificateId,
      org: place.org.id,
      subject: { kind: 'credential', id: credential.id },
      versions: [
        {
          credential: credential.id,
          version: 1,
          fingerprint: 'f'.repeat(64),
          kekId: `org:${place.org.id}`,
          kekVersion: 1,
        },
      ],
      destroyedAt: destroyed.destroyedAt,
      backupsUntil: new Date(Date.parse(destroyed.destroyedAt) + 7 * 86_400_000).toISOString(),
    })
    const all = await events(place.org.id)
    expect(all.filter(({ action }) => action === 'credential.key_destroyed')).toMatchObject([
      {
        target: { credential: credential.id, certificate: destroyed.certificateId },
        data: { backupsUntil: destroyed.backupsUntil, signedBy: broker.deletionSigner.keyId },
      },
    ])
  })

  test('of one version has a certificate for that version', async () => {
    const place = await settle()
    const credential = await store(place)
    await fixture.deps.seal.destroyCredential({ org: place.org.id, credential: credential.id, version: 1 })
    expect(await use(place.org.id, credential)).toEqual(REFUSED)
    expect(await readCertificate(place.org.id, credential.versionId)).toMatchObject({
      subject: { kind: 'credential-version', id: credential.versionId },
    })
  })

  test("another organization's credential is not found, and stays", async () => {
    const [one, other] = [await settle(), await settle()]
    const theirs = await store(other)
    const refused = fixture.deps.seal.destroyCredential({ org: one.org.id, credential: theirs.id })
    await expect(refused).rejects.toThrow('status 404')
    expect((await use(other.org.id, theirs)).status).toBe(200)
  })

  test.each([{}, { org: 'x' }, { org: newId() }, { org: newId(), credential: newId(), version: 0 }])(
    'a request that names no credential is refused: %j',
    async (body) => {
      expect((await askSocket(sockets.sealSocket, '/destroy', { body })).status).toBe(422)
    },
  )
})

describe('an organization that ends', () => {
  test('none of its credentials opens or is sealed again; the certificate names them all', async () => {
    const [place, other] = [await settle(), await settle()]
    const gone = [await store(place), await store(place)]
    const kept = await store(other)
    const { status, json } = await admin('/destroy', { org: place.org.id })
    expect([status, json]).toMatchObject([200, { certificateId: expect.any(String) as string }])
    for (const credential of gone) expect(await use(place.org.id, credential)).toEqual(REFUSED)
    await expect(store(place)).rejects.toThrow('status 409')
    expect((await use(other.org.id, kept)).status).toBe(200)
    const certificate = await readCertificate(place.org.id, place.org.id)
    expect(
      (certificate['versions'] as { credential: string }[]).map(({ credential }) => credential).toSorted(),
    ).toEqual(gone.map(({ id }) => id).toSorted())
    expect((await admin('/rotate', { org: place.org.id })).status).toBe(409)
  })
})

describe('rotation', () => {
  const step = (org: string, limit = 2, cursor: string | null = null) => admin('/rewrap', { org, limit, cursor })

  test('moves every row in steps, proves it by counts, and retires the old key after the grace time', async () => {
    const place = await settle()
    const stored = await Promise.all([1, 2, 3, 4, 5].map(() => store(place)))
    expect(await admin('/rotate', { org: place.org.id })).toMatchObject({ status: 200, json: { keyVersion: 2 } })
    let cursor: string | null = null
    const seen: unknown[] = []
    for (;;) {
      const { json } = await step(place.org.id, 2, cursor)
      seen.push([json['rows'], json['remaining']])
      if (json['more'] !== true) break
      cursor = json['cursor'] as string
    }
    expect(seen).toEqual([
      [2, { rows: 3, records: 3 }],
      [2, { rows: null, records: 1 }],
      [1, { rows: 0, records: 0 }],
    ])
    const counts = await owner`select kek_version, count(*)::int from credential_versions
      where org_id = ${place.org.id} group by 1`
    expect(counts).toEqual([{ kek_version: 2, count: 5 }])
    for (const credential of stored) expect((await use(place.org.id, credential)).status).toBe(200)
    expect((await step(place.org.id)).json).toMatchObject({ rows: 0, retired: [] })
    broker.clock.offsetMs = SEAL_GRACE_MS + 1000
    expect((await step(place.org.id)).json).toMatchObject({ rows: 0, retired: [1] })
    broker.clock.offsetMs = 0
    expect((await events(place.org.id)).map(({ action }) => action)).toEqual(
      expect.arrayContaining(['organization_key.rotated', 'organization_key.retired']),
    )
    for (const credential of stored) expect((await use(place.org.id, credential)).status).toBe(200)
  })

  test('a row that does not open is named, left as it is, and keeps the old key', async () => {
    const place = await settle()
    const [good, bad] = [await store(place), await store(place)]
    const [{ envelope }] = (await owner`select envelope from credential_versions where id = ${good.versionId}`) as [
      { envelope: Buffer },
    ]
    await owner`update credential_versions set envelope = ${envelope} where id = ${bad.versionId}`
    await admin('/rotate', { org: place.org.id })
    broker.clock.offsetMs = SEAL_GRACE_MS + 1000
    expect((await step(place.org.id, 10)).json).toMatchObject({
      rows: 1,
      unreadable: [bad.versionId],
      remaining: { rows: 1, records: 0 },
      retired: [],
      more: false,
    })
    broker.clock.offsetMs = 0
  })

  test('a row that was destroyed meanwhile stays destroyed', async () => {
    const place = await settle()
    const credential = await store(place)
    await admin('/rotate', { org: place.org.id })
    await owner`update credential_versions set envelope = null, status = 'destroyed' where id = ${credential.versionId}`
    expect((await step(place.org.id)).json).toMatchObject({ rows: 0, remaining: { rows: 0 } })
    const [row] = await owner`select envelope from credential_versions where id = ${credential.versionId}`
    expect(row).toEqual({ envelope: null })
  })

  test('rows of before there were organization keys are moved under one', async () => {
    const place = await settle()
    const credential = await store(place)
    const ctx = {
      org: place.org.id,
      app: place.appId,
      credential: credential.id,
      kind: 'android.keystore',
      version: '1',
    }
    const old = await sealEnvelope(broker.root, ctx, new Secret(Buffer.from(payload)))
    await owner`update credential_versions set envelope = ${old.envelope}, kek_id = ${old.kekId},
      kek_version = ${old.kekVersion} where id = ${credential.versionId}`
    expect(await use(place.org.id, credential)).toEqual({ status: 200, text: payload })
    expect((await step(place.org.id)).json).toMatchObject({ rows: 1, remaining: { rows: 0 } })
    expect(await use(place.org.id, credential)).toEqual({ status: 200, text: payload })
  })

  test('while builds sign and uploads come in, nothing is lost', async () => {
    const place = await settle()
    const stored = await Promise.all(Array.from({ length: 8 }, () => store(place)))
    await admin('/rotate', { org: place.org.id })
    const [moved, uses, added] = await Promise.all([
      step(place.org.id, 100),
      Promise.all(stored.map((credential) => use(place.org.id, credential))),
      Promise.all(Array.from({ length: 4 }, () => store(place))),
    ])
    expect(moved.status).toBe(200)
    expect(uses.map(({ status }) => status)).toEqual(stored.map(() => 200))
    await step(place.org.id, 100)
    for (const credential of [...stored, ...added]) expect((await use(place.org.id, credential)).status).toBe(200)
  })
})

describe('the admin socket', () => {
  test('is open to its owner alone, and neither opens nor seals', async () => {
    expect(statSync(sockets.adminSocket).mode & 0o777).toBe(0o600)
    for (const path of ['/open', '/seal']) expect((await admin(path, {})).status).toBe(404)
    for (const path of ['/rotate', '/rewrap', '/status', '/backup', '/rewrap-root']) {
      expect((await askSocket(sockets.sealSocket, path, { body: {} })).status).toBe(404)
      expect((await askSocket(sockets.openSocket, path, { body: {} })).status).toBe(404)
    }
  })

  test('status counts keys by root and rows by key', async () => {
    const place = await settle()
    await store(place)
    const { json } = await admin('/status')
    expect(json).toMatchObject({ root: 'local:test', keyStoreRetentionDays: 7 })
    expect(json['organizations']).toContainEqual({
      org: place.org.id,
      credentials: 1,
      keys: [{ version: 1, minVersion: 1, createdAt: expect.any(Number) as number, rootKekId: 'local:test' }],
    })
    expect(json['rows']).toContainEqual({
      org: place.org.id,
      kekId: `org:${place.org.id}`,
      kekVersion: 1,
      count: 1,
    })
  })

  test.each(['/rotate', '/rewrap', '/destroy', '/rewrap-root'])('%s refuses what it cannot read', async (path) => {
    expect(await admin(path, { org: 'x' })).toMatchObject({ status: 422, json: { code: 'request-invalid' } })
    expect((await admin(path, { org: newId(), more: 1 })).status).toBe(422)
  })

  test('an organization without keys is not found', async () => {
    for (const path of ['/rotate', '/rewrap']) {
      expect(await admin(path, { org: newId() })).toMatchObject({ status: 404, json: { code: 'key-not-found' } })
    }
  })
})

test('a key service that is away spends no opening: the same lease opens when it is back', async () => {
  const place = await settle()
  const credential = await store(place)
  const build = await leaseBuild(fixture, place.org.id, credential)
  const prepare = broker.keys.prepare.bind(broker.keys)
  broker.keys.prepare = () => Promise.reject(new KeysUnavailable('TimeoutError'))
  const ask = () => askSocket(sockets.openSocket, '/open', { token: build.token, body: build.request })
  expect((await ask()).status).toBe(503)
  broker.keys.prepare = prepare
  expect((await ask()).status).toBe(200)
})
