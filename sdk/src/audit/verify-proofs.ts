import { createHash } from 'node:crypto'
import { AuditRefusal } from './audit-refusal.js'
import type { Checkpoint } from './read-checkpoint.js'

function refuse(message: string): never {
  throw new AuditRefusal('PROOF_MISMATCH', message)
}

const hashPair = (left: Uint8Array, right: Uint8Array): Buffer =>
  createHash('sha256').update('\u0001').update(left).update(right).digest()

/** Hashes of a proof as bytes; anything but 32 bytes each, and more than a tree of 2^53 leaves can need, is refused. */
function readHashes(hashes: readonly string[]): Buffer[] {
  if (hashes.length > 120) refuse('The proof has more hashes than any tree needs.')
  return hashes.map((text) => {
    const hash = Buffer.from(text, 'base64')
    if (hash.length !== 32 || hash.toString('base64') !== text) refuse('A hash of the proof is not 32 bytes in base64.')
    return hash
  })
}

/**
 * Verifies that an event is the one with number `seq` in the log that a checkpoint covers (RFC 9162, section 2.1.3.2).
 *
 * @param event the canonical JSON text of the event, exactly as the export or the proof gives it
 * @param proof `seq` from 1, and the hashes from the leaf upwards, base64
 * @param checkpoint as `readCheckpoint` returned it
 * @throws {AuditRefusal} `PROOF_MISMATCH`
 */
export function verifyInclusion(
  event: string,
  proof: { seq: number; hashes: readonly string[] },
  checkpoint: Checkpoint,
): void {
  if (!Number.isSafeInteger(proof.seq) || proof.seq < 1 || proof.seq > checkpoint.size) {
    refuse('The checkpoint does not cover this event.')
  }
  let [node, last] = [proof.seq - 1, checkpoint.size - 1]
  let root: Buffer = createHash('sha256').update('\0').update(event).digest()
  for (const hash of readHashes(proof.hashes)) {
    // [P1] a path longer than the tree is high
    if (last === 0) refuse('The proof is too long.')
    if (node % 2 === 1 || node === last) {
      root = hashPair(hash, root)
      while (node % 2 === 0 && node !== 0) [node, last] = [node / 2, Math.floor(last / 2)]
    } else {
      root = hashPair(root, hash)
    }
    ;[node, last] = [Math.floor(node / 2), Math.floor(last / 2)]
  }
  // [P2] a path cut short, or another event, number or tree
  if (last !== 0 || !root.equals(checkpoint.root)) refuse('The event is not in the log of this checkpoint.')
}

/**
 * Verifies that the log of an earlier checkpoint is the beginning of the log of a later one (RFC 9162, section 2.1.4.2):
 * nothing that the first one covers was changed or taken away.
 *
 * @param hashes the proof's hashes, base64
 * @throws {AuditRefusal} `PROOF_MISMATCH`
 */
export function verifyConsistency(earlier: Checkpoint, later: Checkpoint, hashes: readonly string[]): void {
  // [P3] checkpoints of two logs, or in the wrong order
  if (earlier.origin !== later.origin) refuse('The two checkpoints are of different logs.')
  if (earlier.size < 1 || earlier.size > later.size) refuse('The second checkpoint is not the later one.')
  const path = readHashes(hashes)
  if (earlier.size === later.size) {
    if (path.length > 0 || !earlier.root.equals(later.root))
      refuse('Two checkpoints of one size differ: the log was forked.')
    return
  }
  const isWholeSubtree = earlier.size.toString(2).lastIndexOf('1') === 0
  const [first, ...rest] = isWholeSubtree ? [earlier.root, ...path] : path
  if (first === undefined) refuse('The proof is too short.')
  let [node, last] = [earlier.size - 1, later.size - 1]
  while (node % 2 === 1) [node, last] = [Math.floor(node / 2), Math.floor(last / 2)]
  let [before, after]: [Buffer, Buffer] = [first, first]
  for (const hash of rest) {
    if (last === 0) refuse('The proof is too long.')
    if (node % 2 === 1 || node === last) {
      before = hashPair(hash, before)
      after = hashPair(hash, after)
      while (node % 2 === 0 && node !== 0) [node, last] = [node / 2, Math.floor(last / 2)]
    } else {
      after = hashPair(after, hash)
    }
    ;[node, last] = [Math.floor(node / 2), Math.floor(last / 2)]
  }
  // [P4] a log that was rewritten, forked or cut
  if (last !== 0 || !before.equals(earlier.root) || !after.equals(later.root)) {
    refuse('The earlier log is not the beginning of the later one.')
  }
}
