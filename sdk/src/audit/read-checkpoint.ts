import { createHash, createPublicKey, verify } from 'node:crypto'
import { AuditRefusal } from './audit-refusal.js'

/** What a signed checkpoint says: at `size` events the tree had this root. */
export interface Checkpoint {
  /** `<host>/audit/<organization>`. */
  origin: string
  size: number
  root: Buffer
}

const ed25519Prefix = '302a300506032b6570032100'
const body = /^([^\n]+)\n(0|[1-9][0-9]{0,14})\n([A-Za-z0-9+/]{43}=)\n$/

/** The raw 32 bytes of an Ed25519 SPKI PEM. */
function rawKey(pem: string): Buffer {
  try {
    const der = createPublicKey(pem).export({ type: 'spki', format: 'der' })
    if (der.length === 44 && der.toString('hex').startsWith(ed25519Prefix)) return der.subarray(12)
  } catch {
    // The sentence below says it.
  }
  throw new AuditRefusal('CHECKPOINT_MALFORMED', 'The checkpoint key is not an Ed25519 public key in PEM.')
}

/**
 * Reads a checkpoint: a C2SP signed note (`text`, blank line, signature lines), signed by the given key under the name
 * of its own origin. The text is read after its signature is checked.
 *
 * @param keyPem SPKI PEM of the checkpoint key
 * @throws {AuditRefusal} `CHECKPOINT_MALFORMED`, `CHECKPOINT_SIGNATURE`
 */
export function readCheckpoint(note: string, keyPem: string): Checkpoint {
  const split = note.indexOf('\n\n')
  if (split === -1 || !note.endsWith('\n'))
    throw new AuditRefusal('CHECKPOINT_MALFORMED', 'The checkpoint is not a signed note.')
  const text = note.slice(0, split + 1)
  const origin = text.slice(0, text.indexOf('\n'))
  const key = rawKey(keyPem)
  const hint = createHash('sha256').update(`${origin}\n\u0001`).update(key).digest().subarray(0, 4)
  const signed = note
    .slice(split + 2, -1)
    .split('\n')
    .filter((line) => line.startsWith(`— ${origin} `))
    .map((line) => Buffer.from(line.slice(origin.length + 3), 'base64'))
    .some(
      (bytes) =>
        bytes.length === 68 &&
        bytes.subarray(0, 4).equals(hint) &&
        verify(null, Buffer.from(text), createPublicKey(keyPem), bytes.subarray(4)),
    )
  if (!signed) throw new AuditRefusal('CHECKPOINT_SIGNATURE', 'The checkpoint is not signed by the given key.')
  const [, , size, root] = body.exec(text) ?? []
  if (size === undefined || root === undefined)
    throw new AuditRefusal('CHECKPOINT_MALFORMED', 'The checkpoint does not hold origin, size and root.')
  return { origin, size: Number(size), root: Buffer.from(root, 'base64') }
}
