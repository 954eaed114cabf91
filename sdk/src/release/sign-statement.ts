import { sha256Hex } from '../archive/sha256.js'
import { type Envelope, sealEnvelope, type Signer } from './envelope.js'
import { parseChannelStatement, parseReleaseStatement, parseRootStatement } from './parse-statement.js'
import { type ChannelStatement, payloadTypes, type ReleaseStatement, type RootStatement } from './statements.js'

function encode(statement: object): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(statement))
}

/** Signs a release statement. The identifier of the release is the SHA-256 of the exact payload bytes. */
export async function signRelease(
  statement: ReleaseStatement,
  signer: Signer,
): Promise<{ envelope: Envelope; releaseId: string }> {
  const payload = encode(statement)
  parseReleaseStatement(payload)
  return { envelope: await sealEnvelope(payloadTypes.release, payload, [signer]), releaseId: await sha256Hex(payload) }
}

/** Signs a channel statement with the platform's key. */
export async function signChannelStatement(statement: ChannelStatement, signer: Signer): Promise<Envelope> {
  const payload = encode(statement)
  parseChannelStatement(payload)
  return sealEnvelope(payloadTypes.channel, payload, [signer])
}

/** Signs a root statement; give a signer of the root before it and one of its own. */
export async function signRoot(statement: RootStatement, signers: readonly Signer[]): Promise<Envelope> {
  const payload = encode(statement)
  parseRootStatement(payload)
  return sealEnvelope(payloadTypes.root, payload, signers)
}
