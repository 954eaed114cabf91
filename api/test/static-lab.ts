import { generateKeyPairSync } from 'node:crypto'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { openDatabase, type OpenDatabase } from '@capstan/migrations'
import { validateArchive } from '@capstan/sdk/archive'
import { importReleaseSigner, type ReleaseStatement, signRelease } from '@capstan/sdk/release'
import { pino } from 'pino'
import { openStaticStore } from '../src/static-delivery/open-static-store.js'
import { publishStaticApps } from '../src/static-delivery/publish-static-apps.js'
import type { StaticStore } from '../src/static-delivery/static-store.js'
import { openStatementKey } from '../src/updates/sign-channel-statement.js'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import { type Body, createKeyPair, createLiveUpdateApp, type LiveUpdateApp, sha256, zipOf } from './live-update-app.js'

export const customer = createKeyPair()
export const platform = generateKeyPairSync('ed25519', {
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
})

/** An API with a place for static objects, the control process that fills it, and a clock for both. */
export type StaticLab = {
  fixture: Fixture
  org: TestOrganization
  database: OpenDatabase
  clock: { now: number }
  /** What the control process does when it looks for apps that changed. Into another store where one is given. */
  publishStatic(store?: StaticStore): Promise<number>
  /** Paths of all objects of an app, in order. */
  objectsOf(app: LiveUpdateApp): Promise<string[]>
  writtenAt(app: LiveUpdateApp, path: string): Promise<number>
  createApp(channels: readonly string[]): Promise<LiveUpdateApp>
  [Symbol.asyncDispose](): Promise<void>
}

export async function createStaticLab(): Promise<StaticLab> {
  const clock = { now: Date.now() }
  const place = { kind: 'folder' as const, dir: '' }
  const fixture = await createFixture({
    overrides: {
      channelStatementKey: platform.privateKey,
      staticPlace: place,
      now: () => new Date(clock.now),
      publicUrl: 'http://localhost:4400',
    },
  })
  place.dir = join(fixture.folder, 'static')
  const database = openDatabase({ url: fixture.databaseUrl('control'), poolSize: 4 })
  const folderStore = await openStaticStore(place)
  const org = await fixture.createOrganization()
  const folderOf = (app: LiveUpdateApp) => join(place.dir, 'apps', app.appId)
  return {
    fixture,
    org,
    database,
    clock,
    publishStatic: (store = folderStore) =>
      publishStaticApps({
        db: database.db,
        objects: fixture.deps.objects,
        now: () => new Date(clock.now),
        log: pino({ level: process.env.TEST_LOG_LEVEL ?? 'silent' }),
        staticParts: { store, key: openStatementKey(platform.privateKey) },
      }),
    async objectsOf(app) {
      const entries = await readdir(folderOf(app), { recursive: true, withFileTypes: true }).catch(() => [])
      const files = entries.filter((entry) => entry.isFile())
      return files.map(({ parentPath, name }) => join(parentPath, name).slice(folderOf(app).length + 1)).toSorted()
    },
    writtenAt: async (app, path) => (await stat(join(folderOf(app), path))).mtimeMs,
    async createApp(channels) {
      const app = await createLiveUpdateApp(fixture, org)
      await app.must('POST', '/public-keys', { pem: customer.publicPem })
      for (const name of channels) await app.must('POST', '/channels', { name })
      await app.must('PATCH', '', { staticDeliveryEnabled: true })
      return app
    },
    async [Symbol.asyncDispose]() {
      await database[Symbol.asyncDispose]()
      await fixture[Symbol.asyncDispose]()
    },
  }
}

type Publication = {
  channel: string
  sequence: number
  files: Record<string, string>
  /** Of the bundle: rollout, native versions. */
  bundle?: object
  release?: Partial<ReleaseStatement>
  now: number
}

/** Publishes as `capstan publish` does: the statement names the bundle by the server's id. */
export async function publishRelease(app: LiveUpdateApp, publication: Publication): Promise<Body> {
  const { channel, sequence, files, now } = publication
  const zip = zipOf(files)
  const body = { artifactType: 'zip', channelName: channel, ...publication.bundle }
  const bundle = await app.must('POST', '/bundles', body)
  const sent = await app.sendFile(bundle.id, { content: zip, signature: customer.sign(zip) })
  const { id: appBundleFileId } = await sent.json<Body>()
  const signer = await importReleaseSigner(customer.privatePem, 'customer')
  const { envelope } = await signRelease(
    {
      _type: 'capstan-release/v1',
      appId: app.appId,
      platforms: ['android', 'ios', 'electron', 'web'],
      channels: [channel],
      bundleId: bundle.id,
      sequence,
      createdAt: new Date(now).toISOString(),
      expiresAt: new Date(now + 30 * 86_400_000).toISOString(),
      minNativeVersion: null,
      maxNativeVersion: null,
      rootVersion: 1,
      restores: null,
      provenance: null,
      archive: { sha256: sha256(zip), size: zip.byteLength },
      files: await validateArchive(zip),
      ...publication.release,
    },
    signer,
  )
  const finished = await app.must('PATCH', `/bundles/${bundle.id}`, {
    artifactStatus: 'ready',
    appBundleFileId,
    release: envelope,
  })
  return { ...bundle, ...finished }
}
