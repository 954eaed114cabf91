import type { KeyStore } from '../../vault/key-store.js'
import type { MerkleRange } from './merkle-range.js'

/** What the signer remembers of an organization: whatever it signs next extends exactly this. */
export type CheckpointState = { range: MerkleRange; head: string }

const NAME = 'checkpoint'
const SUBTREE = /^[0-9a-f]{64}$/

/** Kept apart from the database, so that whoever can rewrite the one cannot have the rewritten chain signed. */
export async function readState(store: KeyStore, orgId: string): Promise<CheckpointState | null> {
  const bytes = await store.read(orgId, NAME)
  return bytes === null ? null : parse(bytes.toString('utf8'))
}

export async function writeState(store: KeyStore, orgId: string, { range, head }: CheckpointState): Promise<void> {
  const subtrees = range.subtrees.map((hash) => hash.toString('hex'))
  const record = Buffer.from(JSON.stringify({ v: 1, size: range.size, head, subtrees }))
  if (!(await store.create(orgId, NAME, record))) await store.replace(orgId, NAME, record)
}

function parse(text: string): CheckpointState {
  const { v, size, head, subtrees } = JSON.parse(text) as Record<string, unknown>
  const isWhole =
    v === 1 &&
    typeof size === 'number' &&
    Number.isSafeInteger(size) &&
    typeof head === 'string' &&
    Array.isArray(subtrees) &&
    subtrees.every((hash): hash is string => typeof hash === 'string' && SUBTREE.test(hash)) &&
    subtrees.length === bitsOf(size)
  if (!isWhole) throw new Error('The record of the last checkpoint is damaged.')
  return { range: { size, subtrees: subtrees.map((hash) => Buffer.from(hash, 'hex')) }, head }
}

/** A tree of `size` leaves has one complete subtree for each bit that is set. */
const bitsOf = (size: number): number => size.toString(2).replaceAll('0', '').length
