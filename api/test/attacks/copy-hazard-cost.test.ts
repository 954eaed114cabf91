import { bundleCopyHazards, bundleFiles, bundles, newId, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { lockCopyHazards, recordCopyHazards } from '../../src/bundles/copy-hazards.js'
import { createFixture, type Fixture } from '../fixture.js'
import { createLiveUpdateApp } from '../live-update-app.js'

const FILES = 10_000
let fixture: Fixture

beforeAll(async () => {
  fixture = await createFixture()
})
afterAll(() => fixture[Symbol.asyncDispose]())

test('two manifest bundles of the largest size are compared in a moment', async () => {
  const org = await fixture.createOrganization()
  const app = await createLiveUpdateApp(fixture, org)
  const [from, to] = [
    (await app.must('POST', '/bundles', { artifactType: 'manifest' })).id,
    (await app.must('POST', '/bundles', { artifactType: 'manifest' })).id,
  ]
  const elapsed = await withOrg(fixture.deps.db, org.id, async (tx) => {
    for (const bundleId of [from, to]) {
      // In the later bundle each content has moved one path on, and comes from the path before.
      const shift = bundleId === to ? 1 : 0
      const rows = Array.from({ length: FILES }, (_, index) => ({
        id: newId(),
        orgId: org.id,
        bundleId,
        href: `assets/file-${index}.js`,
        name: 'x',
        mimeType: 'x',
        sizeBytes: 1,
        sha256: `${index + shift}`.padEnd(64, 'a'),
      }))
      for (let at = 0; at < FILES; at += 2_000) await tx.insert(bundleFiles).values(rows.slice(at, at + 2_000))
    }
    await tx.update(bundles).set({ status: 'ready' }).where(eq(bundles.id, from))
    const started = performance.now()
    await lockCopyHazards(tx, app.appId)
    await recordCopyHazards(tx, { id: to, orgId: org.id, appId: app.appId })
    return performance.now() - started
  })
  expect(elapsed).toBeLessThan(60_000)
  const found = await withOrg(fixture.deps.db, org.id, (tx) => tx.select().from(bundleCopyHazards))
  const ways = new Set(found.map((row) => `${row.fromBundleId} ${row.toBundleId}`))
  expect(ways).toEqual(new Set([`${from} ${to}`, `${to} ${from}`]))
})
