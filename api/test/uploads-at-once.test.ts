import { openDatabase } from '@capstan/migrations'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { createFixture, type Fixture } from './fixture.js'
import { keystoreBytes } from './keystore-fixtures.js'
import { storeApp } from './leased-build.js'

let fixture: Fixture
beforeAll(async () => {
  fixture = await createFixture()
})
afterAll(() => fixture[Symbol.asyncDispose]())

test('many uploads at once leave connections to the database to every other request, and all are answered', async () => {
  const org = await fixture.createOrganization()
  const appId = await storeApp(fixture, org.id)
  await using owner = openDatabase({ url: fixture.ownerUrl, poolSize: 1 })
  const upload = async () => {
    const body = new FormData()
    body.append('file', new Blob([new Uint8Array(keystoreBytes('ec.p12'))]), 'x.p12')
    body.append('name', 'Without password')
    body.append('platform', 'android')
    const answer = await fixture.request('POST', `/v1/apps/${appId}/certificates`, { token: org.tokens.admin, body })
    return (await answer.json<{ code: string }>()).code
  }
  // While nobody can be looked up, each upload that is let in keeps the connection that it asks with.
  const uploads = await owner.sql.begin(async (tx) => {
    await tx`lock table api_tokens in access exclusive mode`
    const asked = Array.from({ length: 30 }, upload)
    const waiting = () =>
      tx<
        { count: number }[]
      >`select count(*)::int as count from pg_locks where not granted and relation = 'api_tokens'::regclass`
    await expect.poll(async () => (await waiting())[0]?.count, { timeout: 20_000 }).toBeGreaterThan(0)
    await expect(fixture.deps.db.execute(sql`select 1 as answered`)).resolves.toEqual([{ answered: 1 }])
    expect((await waiting())[0]?.count).toBe(1)
    return { asked }
  })
  expect(await Promise.all(uploads.asked)).toEqual(Array.from({ length: 30 }, () => 'keystore-password-missing'))
})
