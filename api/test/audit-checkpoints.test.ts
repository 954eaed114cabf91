import { execFileSync, spawnSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  AuditRefusal,
  type Checkpoint,
  readCheckpoint,
  verifyAuditExport,
  verifyConsistency,
  verifyInclusion,
} from '@capstan/sdk/audit'
import { auditCheckpoints, openDatabase, type OpenDatabase, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type CheckpointDeps, makeCheckpoints } from '../src/audit/checkpoints/make-checkpoints.js'
import { publishCheckpoints } from '../src/control/publish-checkpoints.js'
import { recordAudit } from '../src/audit/record-audit.js'
import { readCheckpointKey } from '../src/broker/read-checkpoint-key.js'
import { openDirectoryKeyStore } from '../src/vault/directory-key-store.js'
import { chooseSockets, startTestBroker } from './test-broker.js'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'

const MINUTES = 60_000

let fixture: Fixture
let broker: OpenDatabase
let deps: CheckpointDeps
let clock = 0
const complaints: string[] = []

beforeAll(async () => {
  fixture = await createFixture()
  broker = openDatabase({ url: fixture.databaseUrl('broker'), poolSize: 2 })
  const keyFile = join(fixture.folder, 'checkpoint-key.pem')
  const { privateKey } = generateKeyPairSync('ed25519')
  await writeFile(keyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o400 })
  deps = {
    db: broker.db,
    key: await readCheckpointKey(keyFile),
    states: await openDirectoryKeyStore(join(fixture.folder, 'checkpoints'), 'CHECKPOINT_DIR'),
    host: 'capstan.test',
    log: pino({ level: 'error' }, { write: (line: string) => void complaints.push(line) }),
    now: () => new Date(Date.now() + clock),
  }
})
afterAll(async () => {
  await broker[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})

async function record(org: TestOrganization, events: number): Promise<void> {
  const by = { orgId: org.id, actor: { type: 'system' as const, id: 'test' }, requestId: 'test' }
  await withOrg(fixture.deps.db, org.id, async (tx) => {
    for (let index = 0; index < events; index += 1) {
      await recordAudit(tx, by, { action: 'test.recorded', target: { index: String(index) } })
    }
  })
}

function hasPython(): boolean {
  return spawnSync('python3', ['--version'], { stdio: 'ignore' }).status === 0
}

const path = (org: TestOrganization, rest: string) => `/v1/organizations/${org.id}/${rest}`
const ask = (org: TestOrganization, rest: string) =>
  fixture.request('GET', path(org, rest), { token: org.tokens.owner })
const read = (note: string): Checkpoint => readCheckpoint(note, deps.key.publicKeyPem)

async function checkpoints(org: TestOrganization): Promise<Checkpoint[]> {
  const rows = await (await ask(org, 'audit-checkpoints?limit=1000')).json<{ note: string }[]>()
  return rows.map(({ note }) => read(note)).toReversed()
}

/** Events of a chain in the making, and a checkpoint after each portion. */
async function grow(org: TestOrganization, portions: readonly number[]): Promise<void> {
  for (const portion of portions) {
    await record(org, portion)
    clock = 6 * MINUTES
    await makeCheckpoints(deps)
  }
}

describe('checkpoints', () => {
  test('are due after 256 events or five minutes, not before', async () => {
    const org = await fixture.createOrganization()
    clock = 0
    await record(org, 3)
    await makeCheckpoints(deps)
    expect(await checkpoints(org)).toEqual([])
    clock = 5 * MINUTES
    await makeCheckpoints(deps)
    expect((await checkpoints(org)).map(({ size }) => size)).toEqual([3])
    await makeCheckpoints(deps)
    expect((await checkpoints(org)).map(({ size }) => size)).toEqual([3])
    clock = 0
    await record(org, 255)
    await makeCheckpoints(deps)
    expect((await checkpoints(org)).map(({ size }) => size)).toEqual([3])
    await record(org, 1)
    await makeCheckpoints(deps)
    expect((await checkpoints(org)).map(({ size }) => size)).toEqual([3, 259])
  })

  test('cover the export: the offline verifier anchors it, and refuses it under another key', async () => {
    const org = await fixture.createOrganization()
    await grow(org, [1, 1, 5, 300])
    const bytes = Buffer.from(await (await ask(org, 'audit-events/export')).text())
    const source = () =>
      (async function* () {
        yield bytes
      })()
    const verdict = await verifyAuditExport(source(), { org: org.id, checkpoints: await checkpoints(org) })
    expect(verdict).toMatchObject({ ok: true, size: 307, anchored: 307 })
    const cut = bytes.subarray(0, bytes.lastIndexOf('\n', bytes.length - 2) + 1)
    const short = (async function* () {
      yield cut
    })()
    expect(await verifyAuditExport(short, { checkpoints: await checkpoints(org) })).toMatchObject({ code: 'TOO_SHORT' })
    const stranger = generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }).toString()
    const [{ note } = { note: '' }] = await (await ask(org, 'audit-checkpoints?limit=1')).json<{ note: string }[]>()
    expect(() => readCheckpoint(note, stranger)).toThrow(AuditRefusal)
  })

  test('are never made for a chain that was changed since the last one', async () => {
    const org = await fixture.createOrganization()
    await grow(org, [4])
    const owner = openDatabase({ url: fixture.ownerUrl, poolSize: 1 })
    await owner.sql`alter table audit_events disable trigger audit_events_append_only`
    try {
      await owner.sql`update audit_events set hash = ${'a'.repeat(64)} where org_id = ${org.id} and seq = 4`
    } finally {
      await owner.sql`alter table audit_events enable trigger audit_events_append_only`
      await owner[Symbol.asyncDispose]()
    }
    complaints.length = 0
    await grow(org, [2])
    expect((await checkpoints(org)).map(({ size }) => size)).toEqual([4])
    expect(complaints.join()).toContain('Event 4 is not the one that was signed')
  })

  test('are never made for an event whose text is not the one that was hashed, though all before are whole', async () => {
    const org = await fixture.createOrganization()
    await grow(org, [2])
    await record(org, 2)
    const owner = openDatabase({ url: fixture.ownerUrl, poolSize: 1 })
    await owner.sql`alter table audit_events disable trigger audit_events_append_only`
    try {
      await owner.sql`update audit_events set event = replace(event, 'test.recorded', 'test.forged')
        where org_id = ${org.id} and seq = 4`
    } finally {
      await owner.sql`alter table audit_events enable trigger audit_events_append_only`
      await owner[Symbol.asyncDispose]()
    }
    await grow(org, [1])
    expect((await checkpoints(org)).map(({ size }) => size)).toEqual([2])
  })

  test('go on after the record of the last one was lost, through the one that was signed', async () => {
    const org = await fixture.createOrganization()
    await grow(org, [3, 4])
    await deps.states.remove(org.id, 'checkpoint')
    await grow(org, [5])
    const made = await checkpoints(org)
    expect(made.map(({ size }) => size)).toEqual([3, 7, 12])
  })

  test('are published once, each as an object of its own', async () => {
    const org = await fixture.createOrganization()
    await grow(org, [2, 3])
    const control = openDatabase({ url: fixture.databaseUrl('control'), poolSize: 1 })
    const { objects } = fixture.deps
    const publish = () => publishCheckpoints({ db: control.db, objects, now: () => new Date() })
    try {
      expect(await publish()).toBeGreaterThanOrEqual(2)
      expect(await publish()).toBe(0)
    } finally {
      await control[Symbol.asyncDispose]()
    }
    for (const { size, root } of await checkpoints(org)) {
      const { body } = await objects.get(`audit/${org.id}/checkpoints/${size}`)
      expect(read(Buffer.concat(await body.toArray()).toString('utf8'))).toMatchObject({ size, root })
    }
    const rows = await (await ask(org, 'audit-checkpoints')).json<{ publishedAt: string | null }[]>()
    expect(rows.every(({ publishedAt }) => publishedAt !== null)).toBe(true)
  })

  test('cannot be changed or taken away in the database', async () => {
    const org = await fixture.createOrganization()
    await grow(org, [1])
    const owner = openDatabase({ url: fixture.ownerUrl, poolSize: 1 })
    try {
      await expect(owner.sql`update audit_checkpoints set note = 'x' where org_id = ${org.id}`).rejects.toThrow(
        /append-only/,
      )
      await expect(owner.sql`delete from audit_checkpoints where org_id = ${org.id}`).rejects.toThrow(/append-only/)
    } finally {
      await owner[Symbol.asyncDispose]()
    }
    const rows = await withOrg(fixture.deps.db, org.id, (tx) =>
      tx.select().from(auditCheckpoints).where(eq(auditCheckpoints.orgId, org.id)),
    )
    expect(rows).toHaveLength(1)
  })
})

describe('proofs', () => {
  let org: TestOrganization
  let made: Checkpoint[]
  const sizes = [1, 2, 3, 255, 256, 257, 511, 700]
  beforeAll(async () => {
    org = await fixture.createOrganization()
    await grow(
      org,
      sizes.map((size, index) => size - (sizes[index - 1] ?? 0)),
    )
    made = await checkpoints(org)
    expect(made.map(({ size }) => size)).toEqual(sizes)
  })

  test.each([1, 2, 255, 256, 257, 512, 513, 700])('event %i is shown to be in the newest checkpoint', async (seq) => {
    const proof = await (
      await ask(org, `audit-events/${seq}/proof`)
    ).json<{ event: string; note: string; seq: number; hashes: string[] }>()
    const checkpoint = read(proof.note)
    expect(checkpoint.size).toBe(700)
    expect(() => verifyInclusion(proof.event, proof, checkpoint)).not.toThrow()
    const forged = proof.event.replace('test.recorded', 'test.forged')
    expect(() => verifyInclusion(forged, proof, checkpoint)).toThrow(AuditRefusal)
    expect(() => verifyInclusion(proof.event, { ...proof, seq: seq === 700 ? 699 : seq + 1 }, checkpoint)).toThrow(
      AuditRefusal,
    )
    expect(() => verifyInclusion(proof.event, { ...proof, hashes: proof.hashes.slice(1) }, checkpoint)).toThrow(
      AuditRefusal,
    )
    expect(() =>
      verifyInclusion(proof.event, { ...proof, hashes: [...proof.hashes, ...proof.hashes] }, checkpoint),
    ).toThrow(AuditRefusal)
  })

  test('every checkpoint is shown to be the beginning of every later one, and of none that was forked', async () => {
    for (const earlier of made) {
      for (const later of made.filter(({ size }) => size >= earlier.size)) {
        const answer = await ask(org, `audit-checkpoints/${earlier.size}/proof?size=${later.size}`)
        const { hashes } = await answer.json<{ hashes: string[] }>()
        expect(() => verifyConsistency(earlier, later, hashes)).not.toThrow()
        const forked = { ...earlier, root: Buffer.alloc(32, 7) }
        expect(() => verifyConsistency(forked, later, hashes)).toThrow(AuditRefusal)
        expect(() => verifyConsistency(earlier, { ...later, origin: 'other.test/audit/x' }, hashes)).toThrow(
          AuditRefusal,
        )
        if (later.size > earlier.size) expect(() => verifyConsistency(later, earlier, hashes)).toThrow(AuditRefusal)
      }
    }
  })

  test('are refused where no checkpoint reaches, and to whoever may not read the log', async () => {
    expect((await ask(org, 'audit-events/701/proof')).status).toBe(404)
    expect((await ask(org, 'audit-events/1/proof?size=4')).status).toBe(404)
    expect((await ask(org, 'audit-checkpoints/1/proof')).status).toBe(200)
    const developer = { token: org.tokens.member }
    expect((await fixture.request('GET', path(org, 'audit-checkpoints'), developer)).status).toBe(403)
    const rival = await fixture.createOrganization('Rival')
    const foreign = { token: rival.tokens.owner }
    expect((await fixture.request('GET', path(org, 'audit-events/1/proof'), foreign)).status).toBe(404)
  })

  test('a verifier in another language, written from FORMAT.md alone, agrees', async (t) => {
    const folder = await mkdtemp(join(fixture.folder, 'independent-'))
    const [{ note } = { note: '' }] = await (await ask(org, 'audit-checkpoints?limit=1')).json<{ note: string }[]>()
    const text = await (await ask(org, 'audit-events/export')).text()
    const file = async (name: string, content: string) => {
      await writeFile(join(folder, name), content)
      return join(folder, name)
    }
    const key = await file('key.pem', deps.key.publicKeyPem)
    const script = fileURLToPath(new URL('independent-audit-verifier.py', import.meta.url))
    const verify = async (lines: string, signed: string) => {
      const args = [script, await file('log.jsonl', lines), await file('note', signed), key]
      return execFileSync('python3', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
    }
    t.skip(!hasPython(), 'python3 is not installed')
    // Events may have come after the checkpoint, such as that of a stranger who asked.
    const count = text.trimEnd().split('\n').length
    expect(count).toBeGreaterThanOrEqual(700)
    expect(await verify(text, note)).toBe(`ok ${count}`)
    expect(await verify(text.replace('test.recorded', 'test.forged'), note)).toMatch(/^tampered 1 /)
    expect(await verify(text.split('\n').toSpliced(9, 1).join('\n'), note)).toMatch(/^tampered 10 /)
    expect(await verify(text.split('\n').slice(0, 600).join('\n') + '\n', note)).toMatch(/^tampered 601 /)
    expect(await verify(text, note.replace('\n700\n', '\n701\n'))).toMatch(/^bad signature/)
  })
})

test('anybody may have the key of checkpoints; without a broker the answer says who is away', async () => {
  expect((await fixture.request('GET', '/v1/checkpoint-keys')).status).toBe(503)
  const sockets = await chooseSockets()
  await using other = await createFixture({ sealSocket: sockets.sealSocket })
  await using running = await startTestBroker(other, sockets)
  const answer = await other.request('GET', '/v1/checkpoint-keys')
  expect(await answer.json()).toEqual([{ pem: running.checkpointKeyPem, algorithm: 'Ed25519' }])
})
