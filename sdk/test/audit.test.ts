import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import {
  type AuditExpectations,
  type AuditVerdict,
  parseCanonical,
  readCheckpoint,
  verifyAuditExport,
} from '../src/audit/index.js'

const { auditChain: vectors } = JSON.parse(
  readFileSync(new URL('../vectors/audit-chain.json', import.meta.url), 'utf8'),
) as {
  auditChain: {
    events: { json: string; hash: string }[]
    merkleRootsBySize: string[]
    signedCheckpoint: string
    ed25519PublicHex: string
  }
}
const spki = (publicHex: string): string =>
  `-----BEGIN PUBLIC KEY-----\n${Buffer.from(`302a300506032b6570032100${publicHex}`, 'hex').toString('base64')}\n-----END PUBLIC KEY-----\n`
const vectorKey = spki(vectors.ed25519PublicHex)

const hashOf = (event: string): string => createHash('sha256').update(`audit-event-v1\0${event}`).digest('hex')
const lineOf = (event: string, seq = (JSON.parse(event) as { seq: number }).seq): string =>
  JSON.stringify({ seq, hash: hashOf(event), event })
const honest = vectors.events.map((event) => lineOf(event.json))

async function verify(lines: readonly string[] | string, expectations: AuditExpectations = {}): Promise<AuditVerdict> {
  const bytes = Buffer.from(typeof lines === 'string' ? lines : lines.map((line) => `${line}\n`).join(''))
  async function* chunks(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += 97) yield bytes.subarray(at, at + 97)
  }
  return verifyAuditExport(chunks(), expectations)
}

type Fields = Record<string, unknown> & { seq: number; prev: string }
/** A chain rewritten from a place on, every hash recomputed. */
function rewrite(events: Fields[]): string[] {
  let prev = '0'.repeat(64)
  return events.map((fields, index) => {
    const event = { ...fields, seq: index + 1, prev }
    const text = JSON.stringify(Object.fromEntries(Object.entries(event).toSorted(([a], [b]) => (a < b ? -1 : 1))))
    prev = hashOf(text)
    return lineOf(text)
  })
}
const fields = vectors.events.map((event) => JSON.parse(event.json) as Fields)

describe('the audit vectors', () => {
  test('are accepted, with and without what was noted elsewhere', async () => {
    const head = vectors.events[4]!.hash
    expect(await verify(honest)).toEqual({ ok: true, size: 5, head, org: 'org_1', anchored: 0, erased: 0 })
    const checkpoint = readCheckpoint(vectors.signedCheckpoint, vectorKey)
    expect(checkpoint).toEqual({
      origin: 'ci.example.test/audit/org_1',
      size: 5,
      root: Buffer.from(vectors.merkleRootsBySize[5]!, 'hex'),
    })
    const expectations = {
      checkpoints: [checkpoint],
      head: { size: 3, hash: vectors.events[2]!.hash },
      minimumSize: 5,
      org: 'org_1',
    }
    expect(await verify(honest, expectations)).toMatchObject({ ok: true, anchored: 5 })
    expect(await verify(rewrite(fields))).toMatchObject({ ok: true, head })
  })

  test.each(vectors.merkleRootsBySize.map((root, size) => [size, root] as const).slice(1))(
    'the tree of %i events has the published root',
    async (size, root) => {
      const origin = 'x/audit/org_1'
      const checkpoints = [{ origin, size, root: Buffer.from(root, 'hex') }]
      expect(await verify(honest.slice(0, size), { checkpoints })).toMatchObject({ ok: true, anchored: size })
      const other = [{ origin, size, root: Buffer.alloc(32) }]
      expect(await verify(honest, { checkpoints: other })).toMatchObject({
        ok: false,
        code: 'ROOT_MISMATCH',
        seq: size + 1,
      })
    },
  )
})

const swapped = [honest[0]!, honest[2]!, honest[1]!, honest[3]!, honest[4]!]
const edit = (index: number, change: (text: string) => string): string[] =>
  honest.map((line, at) => (at === index ? lineOf(change(vectors.events[at]!.json)) : line))
const editWithoutHash = honest.map((line, at) => (at === 1 ? line.replace('usr_A', 'usr_B') : line))
const spliced = [...honest.slice(0, 4), lineOf(vectors.events[4]!.json.replace('"org":"org_1"', '"org":"org_2"'))]
const late = rewrite(fields.map((event, index) => (index === 3 ? { ...event, ts: '2026-11-21T18:00:00.000Z' } : event)))
const withActor = (id: string): string[] =>
  rewrite(fields.map((event, index) => (index === 2 ? { ...event, actor: { id } } : event)))
const raw = (text: string): string[] => [lineOf(text, 1)]
const first = vectors.events[0]!.json

describe('tampering', () => {
  test.each<[string, readonly string[] | string, string, number]>([
    ['an edited event', editWithoutHash, 'HASH_MISMATCH', 2],
    ['an edited event with its hash recomputed', edit(1, (text) => text.replace('usr_A', 'usr_B')), 'PREV_MISMATCH', 3],
    [
      'an edited hash',
      honest.map((line, at) => (at === 1 ? line.replace('"hash":"7b', '"hash":"8b') : line)),
      'HASH_MISMATCH',
      2,
    ],
    ['an event deleted from the middle', [...honest.slice(0, 2), ...honest.slice(3)], 'SEQ_MISMATCH', 3],
    [
      'an event deleted and the rest renumbered outside',
      [honest[0]!, honest[2]!.replace('"seq":3', '"seq":2')],
      'SEQ_MISMATCH',
      2,
    ],
    ['the first event deleted', honest.slice(1), 'SEQ_MISMATCH', 1],
    ['a doubled event', [honest[0]!, ...honest], 'SEQ_MISMATCH', 2],
    ['two events swapped', swapped, 'SEQ_MISMATCH', 2],
    [
      'an event put in',
      [...honest.slice(0, 2), lineOf(vectors.events[2]!.json.replace('usr_B', 'usr_X')), ...honest.slice(2)],
      'SEQ_MISMATCH',
      4,
    ],
    ["another organization's event", spliced, 'ORG_MISMATCH', 5],
    ['an event that goes back in time', late, 'TIME_WENT_BACK', 4],
    ['a byte-order mark', `\ufeff${honest.join('\n')}\n`, 'LINE_MALFORMED', 1],
    ['carriage returns', `${honest.join('\r\n')}\r\n`, 'LINE_MALFORMED', 1],
    ['an empty line', ['', ...honest], 'LINE_MALFORMED', 1],
    ['a last line cut short', honest.join('\n').slice(0, -10), 'LINE_MALFORMED', 5],
    ['a field more', honest.map((line) => line.replace('{', '{"note":1,')), 'LINE_MALFORMED', 1],
    ['white space in an event', edit(0, (text) => text.replace('"v":1', '"v": 1')), 'NOT_CANONICAL', 1],
    ['unsorted keys', raw('{"v":1,"seq":1}'), 'NOT_CANONICAL', 1],
    ['a key twice', raw(first.replace('"seq":1', '"seq":1,"seq":1')), 'NOT_CANONICAL', 1],
    ['1.0 for 1', raw(first.replace('"v":1', '"v":1.0')), 'NOT_CANONICAL', 1],
    ['1e0 for 1', raw(first.replace('"v":1', '"v":1e0')), 'NOT_CANONICAL', 1],
    ['2^53 + 1', raw(first.replace('"v":1', '"v":9007199254740993')), 'NOT_CANONICAL', 1],
    ['minus zero', raw(first.replace('"v":1', '"v":-0')), 'NOT_CANONICAL', 1],
    ['an escape that is not needed', raw(first.replace('usr_A', 'usr_\\u0041')), 'NOT_CANONICAL', 1],
    ['an escaped slash', raw(first.replace('usr_A', 'usr\\/A')), 'NOT_CANONICAL', 1],
    ['an NFD twin', withActor('Zoe\u0308'), 'NOT_CANONICAL', 3],
    ['a lone surrogate', raw(first.replace('usr_A', 'usr_\\ud800')), 'NOT_CANONICAL', 1],
    ['nesting without end', raw(`${'['.repeat(20_000)}${']'.repeat(20_000)}`), 'NOT_CANONICAL', 1],
    ['an event that is a list', raw('[]'), 'EVENT_MALFORMED', 1],
    ['an event without organization', raw('{"prev":"","seq":1,"ts":"2026-11-21T19:00:00.000Z"}'), 'EVENT_MALFORMED', 1],
  ])('%s is noticed', async (_what, lines, code, seq) => {
    expect(await verify(lines)).toMatchObject({ ok: false, code, seq })
  })

  test('a missing end is noticed by whoever noted the size, the head or a checkpoint', async () => {
    const cut = honest.slice(0, 4)
    expect(await verify(cut)).toMatchObject({ ok: true, size: 4 })
    const checkpoint = readCheckpoint(vectors.signedCheckpoint, vectorKey)
    for (const expectations of [
      { minimumSize: 5 },
      { head: { size: 5, hash: vectors.events[4]!.hash } },
      { checkpoints: [checkpoint] },
    ]) {
      expect(await verify(cut, expectations)).toMatchObject({ ok: false, code: 'TOO_SHORT' })
      expect(await verify(honest, expectations)).toMatchObject({ ok: true })
    }
  })

  test('a chain rewritten whole, and a fork, are noticed by the head and by the checkpoint only', async () => {
    const forged = rewrite(fields.map((event, index) => (index === 4 ? { ...event, actor: { id: 'usr_X' } } : event)))
    expect(await verify(forged)).toMatchObject({ ok: true })
    expect(await verify(forged, { head: { size: 5, hash: vectors.events[4]!.hash } })).toMatchObject({
      code: 'HEAD_MISMATCH',
    })
    const checkpoint = readCheckpoint(vectors.signedCheckpoint, vectorKey)
    expect(await verify(forged, { checkpoints: [checkpoint] })).toMatchObject({ ok: false, code: 'ROOT_MISMATCH' })
  })

  test("another organization's log and checkpoint are noticed", async () => {
    expect(await verify(honest, { org: 'org_2' })).toMatchObject({ ok: false, code: 'ORG_MISMATCH' })
    const checkpoint = { ...readCheckpoint(vectors.signedCheckpoint, vectorKey), origin: 'ci.example.test/audit/org_2' }
    expect(await verify(honest, { checkpoints: [checkpoint] })).toMatchObject({ ok: false, code: 'CHECKPOINT_ORIGIN' })
  })

  test('every flipped bit of a sample changes the verdict', async () => {
    const text = Buffer.from(`${honest.join('\n')}\n`)
    for (let sample = 0; sample < 200; sample++) {
      const flipped = Buffer.from(text)
      const at = Math.floor((sample / 200) * text.length)
      flipped[at] = flipped[at]! ^ (1 << (sample % 7))
      const verdict = await verifyAuditExport(
        (async function* () {
          yield flipped
        })(),
        { minimumSize: 5 },
      )
      expect(verdict.ok, `byte ${at}`).toBe(false)
    }
  })
})

describe('checkpoints', () => {
  const pair = generateKeyPairSync('ed25519')
  const pem = pair.publicKey.export({ type: 'spki', format: 'pem' }).toString()
  const publicRaw = pair.publicKey.export({ type: 'spki', format: 'der' }).subarray(12)
  const note = (text: string, origin = text.slice(0, text.indexOf('\n'))): string => {
    const hint = createHash('sha256').update(`${origin}\n\u0001`).update(publicRaw).digest().subarray(0, 4)
    return `${text}\n— ${origin} ${Buffer.concat([hint, sign(null, Buffer.from(text), pair.privateKey)]).toString('base64')}\n`
  }
  const root = Buffer.alloc(32, 7).toString('base64')

  test('one signed by the given key is read', () => {
    expect(readCheckpoint(note(`h/audit/o\n12\n${root}\n`), pem)).toEqual({
      origin: 'h/audit/o',
      size: 12,
      root: Buffer.alloc(32, 7),
    })
  })

  const good = note(`h/audit/o\n12\n${root}\n`)
  test.each([
    ['another key', good, vectorKey, 'CHECKPOINT_SIGNATURE'],
    ['another size', good.replace('\n12\n', '\n13\n'), pem, 'CHECKPOINT_SIGNATURE'],
    ['another origin', good.replace('h/audit/o\n', 'h/audit/p\n'), pem, 'CHECKPOINT_SIGNATURE'],
    ['a signature under another name', note(`h/audit/o\n12\n${root}\n`, 'other'), pem, 'CHECKPOINT_SIGNATURE'],
    ['a size with a leading zero', note(`h/audit/o\n012\n${root}\n`), pem, 'CHECKPOINT_MALFORMED'],
    ['a short root', note('h/audit/o\n12\nAAAA\n'), pem, 'CHECKPOINT_MALFORMED'],
    ['no signature', `h/audit/o\n12\n${root}\n`, pem, 'CHECKPOINT_MALFORMED'],
    ['a key that is none', good, 'key', 'CHECKPOINT_MALFORMED'],
  ])('one with %s is refused', (_what, text, key, code) => {
    expect(() => readCheckpoint(text, key)).toThrow(expect.objectContaining({ code }))
  })
})

test('canonical JSON is what ECMAScript writes for sorted input', () => {
  const value = { a: ['x', 1, -5, true, null, { b: 'é"\\\b\t\n\f\r\u0001/\u007f\u{1f600}' }], z: {} }
  expect(parseCanonical(JSON.stringify(value))).toEqual(value)
  expect(() => parseCanonical('{"a":"\u0001"}')).toThrow(/control character/)
  expect(() => parseCanonical('{"a":1}x')).toThrow(/follows/)
  expect(() => parseCanonical('[1,]')).toThrow()
  expect(() => parseCanonical('')).toThrow()
})
