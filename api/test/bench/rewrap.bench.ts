import { apps, credentials, credentialVersions, newId, organizations, withOrg } from '@capstan/migrations'
import { createTestDatabase } from '@capstan/migrations/testing'
import { expect, test } from 'vitest'

import { rewrapOrganization } from '../../src/broker/rewrap-organization.js'
import { rewrapEnvelope } from '../../src/vault/envelope.js'
import { createOrganizationKeys } from '../../src/vault/organization-keys.js'
import { contextOf, copyKeyStore, createMemoryKeyStore, openKeyLab, sealText } from '../vault/key-lab.js'
import { report, rounded } from './report.js'

type Size = { credentials: number; versions: number }
type Sample = { ctx: ReturnType<typeof contextOf>; envelope: Buffer }

/** Seconds that the re-wrap of a new organization of this size takes, and of the same re-wraps without any storage. */
async function measure({ credentials: count, versions }: Size): Promise<{ seconds: number; bareSeconds: number }> {
  await using database = await createTestDatabase()
  await using api = database.open('api')
  await using broker = database.open('broker')
  await using lab = await openKeyLab()
  const [org, app] = [newId(), newId()]
  const memory = createMemoryKeyStore()
  const seeding = createOrganizationKeys({ root: lab.root, store: memory })
  let sample: Sample | undefined
  await withOrg(api.db, org, async (tx) => {
    await tx.insert(organizations).values({ id: org, name: 'Rewrap' })
    await tx.insert(apps).values({ id: app, orgId: org, name: 'App', type: 'capacitor' })
    for (let index = 0; index < count; index += 1) {
      const ctx = contextOf({ org, app })
      const { credential: id } = ctx
      const names = { name: id, nameLower: id, platform: 'android' as const, type: 'production' as const }
      await tx
        .insert(credentials)
        .values({ id, orgId: org, appId: app, ...names, kind: 'android.keystore', currentVersion: 1 })
      const rows: (typeof credentialVersions.$inferInsert)[] = []
      for (let version = 1; version <= versions; version += 1) {
        const own = { ...ctx, version: String(version) }
        const { text: _text, ...sealed } = await sealText(seeding, own, 'x'.repeat(4096))
        sample ??= { ctx: own, envelope: sealed.envelope }
        const file = { fileName: 'k', fileMimeType: 'x', fileSizeBytes: 1, fingerprintSha256: 'f' }
        rows.push({ id: newId(), orgId: org, credentialId: id, version, ...sealed, ...file, status: 'retired' })
      }
      await tx.insert(credentialVersions).values(rows)
    }
  })
  await copyKeyStore(memory, lab.store)
  const keys = await lab.reopen()
  await keys.rotate(org)

  const deps = { db: broker.db, keys, now: () => new Date() }
  const started = performance.now()
  let moved = 0
  for (let cursor: string | null = null; ;) {
    const step = await rewrapOrganization(deps, { org, cursor, limit: 500, requestId: 'bench' })
    moved += step.rows
    cursor = step.cursor
    if (!step.more) break
  }
  const seconds = (performance.now() - started) / 1000
  expect(moved).toBe(count * versions)

  if (sample === undefined) throw new Error('nothing was sealed')
  const bare = performance.now()
  for (let index = 0; index < count * versions; index += 1) await rewrapEnvelope(keys, sample.ctx, sample.envelope)
  return { seconds, bareSeconds: (performance.now() - bare) / 1000 }
}

test('re-wrap ten thousand versions of a thousand credentials', async () => {
  const { seconds, bareSeconds } = await measure({ credentials: 1000, versions: 10 })
  report({
    name: 'rewrap-10000',
    seconds: rounded(seconds, 2),
    perSecond: rounded(10_000 / seconds),
    bareSeconds: rounded(bareSeconds, 2),
    ratio: rounded(bareSeconds / seconds, 3),
  })
})

test('ten times the credentials cost ten times as much', async () => {
  const few = await measure({ credentials: 1000, versions: 1 })
  const many = await measure({ credentials: 10_000, versions: 1 })
  report({
    name: 'rewrap-growth',
    secondsFor1000: rounded(few.seconds, 2),
    secondsFor10000: rounded(many.seconds, 2),
    // 1: linear. 10: quadratic.
    ratio: rounded(many.seconds / few.seconds / 10, 2),
  })
})
