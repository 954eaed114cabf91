import { openDatabase } from '@capstan/migrations'
import { pino } from 'pino'
import { expect, test } from 'vitest'

import type { BuildQueue } from '../../src/control/build-queue.js'
import type { ControlDeps } from '../../src/control/control-deps.js'
import { chooseDueBuilds } from '../../src/control/choose-due-builds.js'
import { dispatchLimits } from '../../src/control/relay-outbox.js'
import { claim, createTestApp, uploadSource } from '../build-fixture.js'
import { createFixture } from '../fixture.js'
import { median, report, rounded } from './report.js'

const QUEUED = 10_000
const CLAIMS = 80
const ROUNDS = 5
const AT_ONCE = 8

test('claims with 10,000 builds queued, against a bare conditional UPDATE of the same rows, each in a transaction', async () => {
  await using fixture = await createFixture()
  await using owner = openDatabase({ url: fixture.ownerUrl, poolSize: AT_ONCE })
  await using control = openDatabase({ url: fixture.databaseUrl('control'), poolSize: 2 })
  const app = await createTestApp(fixture)
  const worker = await fixture.createWorker()
  const sourceId = await uploadSource(fixture, app)
  const made = await owner.sql<{ build_id: string }[]>`
    with made as (
      insert into builds (id, org_id, app_id, number, platform, build_source_id)
      select gen_random_uuid(), ${app.org.id}, ${app.id}, n, 'web', ${sourceId}
      from generate_series(1, ${QUEUED}::int) n returning id, org_id, app_id)
    insert into jobs (id, org_id, app_id, build_id) select gen_random_uuid(), org_id, app_id, id from made
    returning build_id`
  await owner.sql`analyze`
  const ids = made.map(({ build_id }) => build_id)

  const rounds: { own: number; bare: number }[] = []
  for (let round = 0; round < ROUNDS; round += 1) {
    const rows = ids.slice(round * CLAIMS, (round + 1) * CLAIMS)
    const bare = await perSecond(rows, async (id) => {
      await owner.sql.begin(async (tx) => {
        await tx`update jobs set status = 'in_progress', attempt = attempt + 1 where build_id = ${id} and status = 'queued'`
      })
    })
    await owner.sql`update jobs set status = 'queued' where build_id = any(${rows})`
    const own = await perSecond(rows, async (id) => {
      expect((await claim(fixture, worker, id)).status).toBe(200)
    })
    rounds.push({ own, bare })
  }
  const own = median(rounds.map((round) => round.own))
  const bare = median(rounds.map((round) => round.bare))
  const queue = { ring: async () => {}, has: async () => true, close: async () => {} } satisfies BuildQueue
  const deps = {
    db: control.db,
    queue,
    log: pino({ level: 'silent' }),
    now: () => new Date(),
  } as unknown as ControlDeps
  const limits = { ...dispatchLimits, perOrganization: 1_000 }
  const choosing: number[] = []
  for (let round = 0; round < 15; round += 1) {
    const start = performance.now()
    expect(await chooseDueBuilds(deps, 'standard', limits)).toHaveLength(limits.unknownCapacity)
    choosing.push(performance.now() - start)
  }
  report({
    name: 'claims-10000-queued',
    perSecond: rounded(own),
    bareUpdatesPerSecond: rounded(bare),
    ratio: rounded(median(rounds.map((round) => round.own / round.bare)), 3),
    chooseNextMs: rounded(median(choosing), 2),
  })
})

async function perSecond(ids: readonly string[], work: (id: string) => Promise<void>): Promise<number> {
  const waiting = [...ids]
  const start = performance.now()
  const lane = async () => {
    for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) await work(id)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, lane))
  return (ids.length / (performance.now() - start)) * 1_000
}
