import { bundleFiles, bundles, newId, withOrg } from '@capstan/migrations'
import { inArray } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { findCopyHazard, recallCopyHazard } from '../../src/bundles/find-copy-hazard.js'
import { createFixture, type Fixture } from '../fixture.js'
import { createLiveUpdateApp } from '../live-update-app.js'

const FILES = 10_000
let fixture: Fixture

beforeAll(async () => {
  fixture = await createFixture()
})
afterAll(() => fixture[Symbol.asyncDispose]())

// A device names the bundle that it runs, and nobody signs in as a device: the comparison is work for a stranger.
test('two manifest bundles of the largest size are compared in a moment', async () => {
  const org = await fixture.createOrganization()
  const app = await createLiveUpdateApp(fixture, org)
  const [from, to] = [
    (await app.must('POST', '/bundles', { artifactType: 'manifest' })).id,
    (await app.must('POST', '/bundles', { artifactType: 'manifest' })).id,
  ]
  const elapsed = await withOrg(fixture.deps.db, org.id, async (tx) => {
    for (const [bundleId, salt] of [[from, 'a'] as const, [to, 'b'] as const]) {
      const rows = Array.from({ length: FILES }, (_, index) => ({
        id: newId(),
        orgId: org.id,
        bundleId,
        href: `assets/file-${index}.js`,
        name: 'x',
        mimeType: 'x',
        sizeBytes: 1,
        sha256: `${salt}${index}`.padEnd(64, '0'),
      }))
      for (let at = 0; at < FILES; at += 2_000) await tx.insert(bundleFiles).values(rows.slice(at, at + 2_000))
    }
    await tx
      .update(bundles)
      .set({ status: 'ready' })
      .where(inArray(bundles.id, [from, to]))
    const started = performance.now()
    expect(await findCopyHazard(tx, { from, to })).toBeNull()
    const first = performance.now() - started
    await recallCopyHazard(tx, { from, to })
    const again = performance.now()
    expect(await recallCopyHazard(tx, { from, to })).toBeNull()
    return { first, again: performance.now() - again }
  })
  expect(elapsed.first).toBeLessThan(2_000)
  expect(elapsed.again).toBeLessThan(10)
}, 60_000)
