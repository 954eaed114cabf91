import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { crc32 } from 'node:zlib'

import { apps, credentials, credentialVersions, newId, organizations, withOrg } from '@capstan/migrations'
import { createTestDatabase, type TestDatabase } from '@capstan/migrations/testing'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { openRootKeys } from '../../src/broker/open-root-keys.js'
import { rewrapOrganization } from '../../src/broker/rewrap-organization.js'
import type { EnvelopeContext } from '../../src/vault/envelope-context.js'
import { createOrganizationKeys, type OrganizationKeys } from '../../src/vault/organization-keys.js'
import {
  contextOf,
  copyKeyStore,
  createMemoryKeyStore,
  type KeyLab,
  openKeyLab,
  openText,
  sealText,
} from './key-lab.js'

const CREDENTIALS = 100
const VERSIONS = 100
const KILLS = 50
const child = fileURLToPath(new URL('rewrap-child.mjs', import.meta.url))

let database: TestDatabase
let lab: KeyLab
let masterKeyFile: string
const org = newId()
const app = newId()
const texts = new Map<string, { ctx: EnvelopeContext; text: string }>()

beforeAll(async () => {
  database = await createTestDatabase()
  const line = `mk1:test:${randomBytes(32).toString('base64')}`
  lab = await openKeyLab()
  masterKeyFile = join(lab.folder, '..', 'master.key')
  await writeFile(masterKeyFile, `${line}:${crc32(line).toString(16).padStart(8, '0')}\n`, { mode: 0o400 })
  const root = await openRootKeys({ MASTER_KEY_FILE: masterKeyFile, KMS_OLD_KEY_IDS: [] })
  const memory = createMemoryKeyStore()
  await seed(createOrganizationKeys({ root, store: memory }))
  await copyKeyStore(memory, lab.store)
  lab.keys = await lab.reopen(root)
})
afterAll(async () => {
  await database[Symbol.asyncDispose]()
  await lab[Symbol.asyncDispose]()
})

async function seed(keys: OrganizationKeys): Promise<void> {
  await using api = database.open('api')
  await withOrg(api.db, org, async (tx) => {
    await tx.insert(organizations).values({ id: org, name: 'Rewrap' })
    await tx.insert(apps).values({ id: app, orgId: org, name: 'App', type: 'capacitor' })
    for (let index = 0; index < CREDENTIALS; index += 1) {
      const ctx = contextOf({ org, app })
      const { credential: id, kind } = ctx
      const names = { name: id, nameLower: id, platform: 'android' as const, type: 'production' as const }
      await tx
        .insert(credentials)
        .values({ id, orgId: org, appId: app, ...names, kind: kind as 'android.keystore', currentVersion: 1 })
      await tx
        .insert(credentialVersions)
        .values(await Promise.all(Array.from({ length: VERSIONS }, (_, at) => row(keys, ctx, at + 1))))
    }
  })
}

async function row(
  keys: OrganizationKeys,
  ctx: EnvelopeContext,
  version: number,
): Promise<typeof credentialVersions.$inferInsert> {
  const id = newId()
  const own = { ...ctx, version: String(version) }
  const { text, ...sealed } = await sealText(keys, own)
  texts.set(id, { ctx: own, text })
  const file = { fileName: 'k', fileMimeType: 'x', fileSizeBytes: 1, fingerprintSha256: 'f' }
  return { id, orgId: org, credentialId: ctx.credential, version, ...sealed, ...file, status: 'retired' }
}

/** Runs the child and kills it with -9 somewhere after it printed this; resolves to the rows it had moved by then. */
async function killOnce(after: 'begun' | 'moved'): Promise<number> {
  const running = spawn(process.execPath, [child, database.url('broker'), lab.folder, masterKeyFile, org], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [out, err] = ['', '']
  running.stderr.on('data', (piece: Buffer) => (err += piece.toString()))
  const ended = new Promise<string | null>((resolve) => running.once('close', (_, signal) => resolve(signal)))
  await new Promise<void>((resolve) => {
    running.stdout.on('data', (piece: Buffer) => {
      out += piece.toString()
      if (out.includes(after)) resolve()
    })
    running.once('close', () => resolve())
  })
  await sleep(Math.random() * 250)
  running.kill('SIGKILL')
  expect([await ended, err]).toEqual(['SIGKILL', ''])
  return [...out.matchAll(/moved (\d+)/g)].reduce((sum, [, rows]) => sum + Number(rows), 0)
}

test('killed fifty times while it re-wraps ten thousand rows, every row is readable after', async () => {
  await lab.keys.rotate(org)
  let moved = 0
  for (let kill = 0; kill < KILLS; kill += 1) {
    // On a machine that is full a batch may take longer than any pause: now and then one is waited for.
    moved += await killOnce(kill % 5 === 4 ? 'moved' : 'begun')
  }
  expect(moved).toBeGreaterThan(0)

  await using broker = database.open('broker')
  const root = await openRootKeys({ MASTER_KEY_FILE: masterKeyFile, KMS_OLD_KEY_IDS: [] })
  const keys = await lab.reopen(root)
  const deps = { db: broker.db, keys, now: () => new Date(Date.now() + 3_600_000) }
  const readAll = () => withOrg(broker.db, org, (tx) => tx.select().from(credentialVersions))
  const check = async () => {
    const rows = await readAll()
    expect(rows).toHaveLength(CREDENTIALS * VERSIONS)
    for (const { id, envelope } of rows) {
      const { ctx, text } = texts.get(id)!
      expect(await openText(keys, ctx, envelope!)).toBe(text)
    }
    return rows
  }
  await check()
  let cursor: string | null = null
  for (;;) {
    const step = await rewrapOrganization(deps, { org, cursor, limit: 2000, requestId: 'test' })
    expect(step.unreadable).toEqual([])
    cursor = step.cursor
    if (!step.more) break
  }
  const newest = await keys.newestVersion(org)
  expect(new Set((await check()).map(({ kekVersion }) => kekVersion))).toEqual(new Set([newest]))
  expect((await keys.describe(org))?.keys.map(({ version }) => version)).toEqual([newest])
})
