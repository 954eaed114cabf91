import { afterAll, beforeAll, expect, test } from 'vitest'
import { and, eq, inArray } from 'drizzle-orm'
import { newId } from '../src/ids.js'
import { apps, builds, jobs, organizations } from '../src/schema/index.js'
import { finishedStatuses, jobStatuses, jobTransitions, sourcesOf } from '../src/transitions.js'
import { withOrg } from '../src/with-org.js'
import { createTestDatabase, type TestDatabase } from '../src/testing/index.js'
import type { OpenDatabase } from '../src/database.js'

let database: TestDatabase
let api: OpenDatabase
const orgId = newId()
const appId = newId()

beforeAll(async () => {
  database = await createTestDatabase()
  api = database.open('api')
  await withOrg(api.db, orgId, async (tx) => {
    await tx.insert(organizations).values({ id: orgId, name: 'x' })
    await tx.insert(apps).values({ id: appId, orgId, name: 'app', type: 'android' })
  })
})
afterAll(async () => {
  await api[Symbol.asyncDispose]()
  await database[Symbol.asyncDispose]()
})

let number = 0
async function insertJob(status: (typeof jobStatuses)[number]): Promise<string> {
  const [buildId, jobId] = [newId(), newId()]
  number += 1
  await withOrg(api.db, orgId, async (tx) => {
    await tx.insert(builds).values({ id: buildId, orgId, appId, number, platform: 'web' })
    const finishedAt = finishedStatuses.includes(status) ? new Date() : null
    await tx.insert(jobs).values({ id: jobId, orgId, appId, buildId, status, finishedAt })
  })
  return jobId
}

test('sourcesOf is the table read backwards', () => {
  for (const to of jobStatuses) {
    for (const from of jobStatuses) {
      const allowed = (jobTransitions[from] as readonly string[]).includes(to)
      expect(sourcesOf(to).includes(from)).toBe(allowed)
    }
  }
})

test('of two finishes at once exactly one wins', async () => {
  const jobId = await insertJob('in_progress')
  const finish = (status: 'succeeded' | 'canceled') =>
    withOrg(api.db, orgId, (tx) =>
      tx
        .update(jobs)
        .set({ status, finishedAt: new Date() })
        .where(and(eq(jobs.id, jobId), inArray(jobs.status, sourcesOf(status))))
        .returning(),
    )
  const results = await Promise.all([finish('succeeded'), finish('canceled'), finish('succeeded')])
  expect(results.filter((rows) => rows.length === 1)).toHaveLength(1)
})

test.each(finishedStatuses)('the database keeps a job that is %s as it is', async (status) => {
  const jobId = await insertJob(status)
  const revived = withOrg(api.db, orgId, (tx) =>
    tx.update(jobs).set({ status: 'queued', finishedAt: null }).where(eq(jobs.id, jobId)),
  )
  await expect(revived).rejects.toMatchObject({ cause: { message: expect.stringContaining('is finished') } })
})
