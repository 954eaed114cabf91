import { createHash, type KeyObject, sign } from 'node:crypto'

export type CheckpointKey = { privateKey: KeyObject; publicKeyPem: string; rawPublicKey: Buffer }

/**
 * A checkpoint as a C2SP signed note: origin, number of events and Merkle root, signed by Ed25519 under the name of the
 * origin. https://c2sp.org/tlog-checkpoint, https://c2sp.org/signed-note
 */
export function signNote(key: CheckpointKey, checkpoint: { origin: string; size: number; root: Buffer }): string {
  const { origin, size, root } = checkpoint
  const text = `${origin}\n${size}\n${root.toString('base64')}\n`
  const hint = createHash('sha256').update(`${origin}\n\u0001`).update(key.rawPublicKey).digest().subarray(0, 4)
  const signature = sign(null, Buffer.from(text), key.privateKey)
  return `${text}\n— ${origin} ${Buffer.concat([hint, signature]).toString('base64')}\n`
}
