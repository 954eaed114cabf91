import { createHash } from 'node:crypto'
import { AuditRefusal, type AuditRefusalCode } from './audit-refusal.js'
import { type MerkleTree, merkleTree } from './merkle-tree.js'
import { type CanonicalValue, parseCanonical } from './parse-canonical.js'
import type { Checkpoint } from './read-checkpoint.js'

/** What the verifier knows from elsewhere. Without any of it, a chain rewritten whole cannot be told from the real one. */
export interface AuditExpectations {
  /** There must be at least this many events. */
  minimumSize?: number
  /** The hash of event `size`, noted down earlier. */
  head?: { size: number; hash: string }
  /** Checkpoints whose signature was checked by `readCheckpoint`. */
  checkpoints?: readonly Checkpoint[]
  /** The organization whose log it must be. */
  org?: string
}

/**
 * `anchored` counts the events that an expected head or a checkpoint covers, `erased` the personal values that events
 * commit to and the export does not have any more.
 */
export type AuditVerdict =
  | { ok: true; size: number; head: string; org: string | null; anchored: number; erased: number }
  | { ok: false; code: AuditRefusalCode; seq: number; reason: string }

interface Chain {
  size: number
  head: string
  org: string | null
  ts: string
  erased: number
}

const lineBreak = 0x0a
const digest = /^[0-9a-f]{64}$/
const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
const maximumLineBytes = 4 * 1024 * 1024

function refuse(code: AuditRefusalCode, message: string): never {
  throw new AuditRefusal(code, message)
}

function readLine(bytes: Uint8Array): { seq: unknown; hash: string; event: string; personal: unknown } {
  let line: unknown
  try {
    // [A1] a byte-order mark, carriage returns and fields that hide something
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    line = text.startsWith('{') && text.endsWith('}') ? JSON.parse(text) : null
  } catch {
    line = null
  }
  const { seq, hash, event, personal = {}, ...rest } = (line ?? {}) as Record<string, unknown>
  if (typeof hash !== 'string' || !digest.test(hash) || typeof event !== 'string' || Object.keys(rest).length > 0) {
    refuse('LINE_MALFORMED', 'The line is not an object of seq, hash, event and perhaps personal, and nothing else.')
  }
  return { seq, hash, event, personal }
}

type ReadEvent = { seq: CanonicalValue; org: string; prev: string; ts: string; personal: CanonicalValue }

function readEvent(event: string): ReadEvent {
  // [A2] two texts for one event
  const value = parseCanonical(event)
  const {
    seq = null,
    org,
    prev,
    ts,
    personal = {},
  } = typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {}
  if (typeof org !== 'string' || typeof prev !== 'string' || typeof ts !== 'string' || !time.test(ts)) {
    refuse('EVENT_MALFORMED', 'The event lacks org, prev or a ts in UTC with milliseconds.')
  }
  return { seq, org, prev, ts, personal }
}

function follow(chain: Chain, bytes: Uint8Array): { chain: Chain; leaf: Buffer } {
  const line = readLine(bytes)
  const event = readEvent(line.event)
  const leaf = Buffer.from(line.event)
  // [A3] an edited event
  const hash = createHash('sha256').update('audit-event-v1\0').update(leaf).digest('hex')
  if (hash !== line.hash) refuse('HASH_MISMATCH', 'The event does not have the hash that the line names.')
  // [A4] an event taken out, put in, doubled or moved
  const expected = chain.size + 1
  if (line.seq !== expected || event.seq !== expected) refuse('SEQ_MISMATCH', `Event ${expected} is expected here.`)
  // [A5] the same with rewritten numbers
  if (event.prev !== chain.head) refuse('PREV_MISMATCH', 'The event does not follow the one before it.')
  // [A6] an event of another organization
  if (chain.org !== null && event.org !== chain.org) refuse('ORG_MISMATCH', 'The event is of another organization.')
  // [A7] an event written later than it says
  if (event.ts < chain.ts) refuse('TIME_WENT_BACK', 'The event is older than the one before it.')
  const erased = chain.erased + countErased(event.personal, line.personal)
  return { chain: { size: expected, head: hash, org: event.org, ts: event.ts, erased }, leaf }
}

/** [A10] a value beside an event that is not the one it commits to; how many are gone. */
function countErased(commitments: CanonicalValue, shown: unknown): number {
  if (!isRecord(commitments) || !isRecord(shown)) {
    refuse('EVENT_MALFORMED', 'What is personal is an object, in the event and beside it.')
  }
  for (const [name, entry] of Object.entries(shown)) {
    const { salt, value, ...rest } = isRecord(entry) ? entry : {}
    const isWhole = typeof salt === 'string' && digest.test(salt) && typeof value === 'string'
    if (!isWhole || Object.keys(rest).length > 0) refuse('PERSONAL_MISMATCH', `${name} is not a salt and a value.`)
    const hash = createHash('sha256').update('audit-personal-v1\0').update(Buffer.from(salt, 'hex')).update(value)
    const isCommitted = Object.hasOwn(commitments, name) && commitments[name] === hash.digest('hex')
    if (!isCommitted) refuse('PERSONAL_MISMATCH', `${name} is not what the event commits to.`)
  }
  return Object.keys(commitments).length - Object.keys(shown).length
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Splits bytes at line feeds; the last line must end in one, too. */
async function* splitLines(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let rest = Buffer.alloc(0)
  for await (const chunk of source) {
    rest = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk])
    let start = 0
    for (let end = rest.indexOf(lineBreak); end !== -1; end = rest.indexOf(lineBreak, start)) {
      yield rest.subarray(start, end)
      start = end + 1
    }
    rest = rest.subarray(start)
    if (rest.length > maximumLineBytes) refuse('LINE_MALFORMED', 'A line is too long.')
  }
  if (rest.length > 0) refuse('LINE_MALFORMED', 'The last line does not end: the export is cut short.')
}

/** Truncation, and a chain rewritten whole: only what was noted elsewhere can tell. */
function checkAnchors(chain: Chain, tree: MerkleTree, expectations: AuditExpectations): number {
  let anchored = 0
  // [A8] the head noted earlier
  if (expectations.head?.size === chain.size) {
    if (expectations.head.hash !== chain.head)
      refuse('HEAD_MISMATCH', 'The chain has another head here than was noted.')
    anchored = chain.size
  }
  for (const checkpoint of expectations.checkpoints ?? []) {
    if (checkpoint.size !== chain.size) continue
    // [A9] the tree that was signed
    if (!checkpoint.root.equals(tree.root()))
      refuse('ROOT_MISMATCH', 'The events are not those of the signed checkpoint.')
    anchored = chain.size
  }
  return anchored
}

function checkEnd(chain: Chain, expectations: AuditExpectations): void {
  const sizes = [
    expectations.minimumSize ?? 0,
    expectations.head?.size ?? 0,
    ...(expectations.checkpoints ?? []).map(({ size }) => size),
  ]
  const minimum = Math.max(...sizes)
  if (chain.size < minimum)
    refuse('TOO_SHORT', `The export has ${chain.size} events, and there were ${minimum}: its end is missing.`)
  for (const { origin } of expectations.checkpoints ?? []) {
    if (!origin.endsWith(`/audit/${chain.org}`))
      refuse('CHECKPOINT_ORIGIN', `The checkpoint of ${origin} is not for this organization.`)
  }
}

/**
 * Verifies an audit export line by line, offline, in constant memory. FORMAT.md numbers the steps.
 *
 * @param source the bytes of the export, e.g. a file's read stream
 * @returns what was found; a broken export is a verdict, never an exception
 * @throws what reading `source` throws
 */
export async function verifyAuditExport(
  source: AsyncIterable<Uint8Array>,
  expectations: AuditExpectations = {},
): Promise<AuditVerdict> {
  const tree = merkleTree()
  let chain: Chain = { size: 0, head: '0'.repeat(64), org: expectations.org ?? null, ts: '', erased: 0 }
  let anchored = 0
  try {
    for await (const line of splitLines(source)) {
      const step = follow(chain, line)
      chain = step.chain
      tree.append(step.leaf)
      anchored = Math.max(anchored, checkAnchors(chain, tree, expectations))
    }
    checkEnd(chain, expectations)
  } catch (error) {
    if (!(error instanceof AuditRefusal)) throw error
    return { ok: false, code: error.code, seq: chain.size + 1, reason: error.message }
  }
  return { ok: true, size: chain.size, head: chain.head, org: chain.org, anchored, erased: chain.erased }
}
