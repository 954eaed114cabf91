import { timingSafeEqual } from 'node:crypto'

import { encodeContext, type EnvelopeContext, EnvelopeError, lengthPrefixed, u16, u32 } from './envelope-context.js'
import { gcmOpen, gcmSeal, NONCE_BYTES, TAG_BYTES } from './gcm.js'
import { hkdfSha512 } from './hkdf.js'
import type { KeyManager, WrappedDek } from './key-manager.js'
import { takeRandomBytes } from './random-bytes.js'
import { Secret } from './secret.js'

/** Format `CRE1`; FORMAT.md numbers the steps. */
const SUITE = 0x0001
const HEAD = Buffer.concat([Buffer.from('CRE1', 'latin1'), u16(SUITE)])
const BODY_DOMAIN = Buffer.from('cre1:body\0', 'latin1')
const SALT_BYTES = 32
const COMMIT_BYTES = 32
const FIXED_BYTES = HEAD.length + SALT_BYTES + NONCE_BYTES + COMMIT_BYTES
const MAX_BODY_BYTES = 4 * 1024 * 1024

/** Source of random bytes; a test replaces it to reproduce a vector. */
export type RandomBytes = (length: number) => Buffer

export type SealedEnvelope = { envelope: Buffer; kekId: string; kekVersion: number }

/** Encrypts one credential version under a fresh data key. The plaintext stays the caller's to dispose. */
export async function sealEnvelope(
  keys: KeyManager,
  ctx: EnvelopeContext,
  plaintext: Secret,
  random: RandomBytes = takeRandomBytes,
): Promise<SealedEnvelope> {
  const { dek: ownedDek, ...wrapped } = await keys.generateDek(ctx)
  using dek = ownedDek
  const salt = random(SALT_BYTES)
  const bodyNonce = random(NONCE_BYTES)
  const { encryptKey, commit } = deriveKeys(dek, salt)
  using bodyKey = encryptKey
  const fixed = Buffer.concat([HEAD, salt, bodyNonce, commit])
  const [ciphertext, tag] = bodyKey.use((key) =>
    plaintext.use((bytes) => gcmSeal(key, bodyNonce, bodyAad(fixed, ctx), bytes)),
  )
  const envelope = Buffer.concat([fixed, encodeWrapped(wrapped), u32(ciphertext.length + TAG_BYTES), ciphertext, tag])
  return { envelope, kekId: wrapped.kekId, kekVersion: wrapped.kekVersion }
}

/** Decrypts an envelope that was sealed for exactly this context; throws `EnvelopeError` for anything else. */
export async function openEnvelope(keys: KeyManager, ctx: EnvelopeContext, envelope: Uint8Array): Promise<Secret> {
  const { fixed, salt, bodyNonce, commit, wrapped, body } = parseEnvelope(envelope)
  // [E5] key before content
  using dek = await keys.unwrap(wrapped, ctx)
  const derived = deriveKeys(dek, salt)
  using bodyKey = derived.encryptKey
  // [E6] GCM alone does not commit to its key
  if (!timingSafeEqual(derived.commit, commit)) throw new EnvelopeError()
  // [E7]
  return new Secret(bodyKey.use((key) => gcmOpen(key, bodyNonce, bodyAad(fixed, ctx), body)))
}

/** Puts the data key under the newest key-encryption key; salt, nonce, commitment and body stay as they are. */
export async function rewrapEnvelope(
  keys: KeyManager,
  ctx: EnvelopeContext,
  envelope: Uint8Array,
): Promise<SealedEnvelope> {
  const { fixed, wrapped, body } = parseEnvelope(envelope)
  const renewed = await keys.rewrap(wrapped, ctx)
  const bytes = Buffer.concat([fixed, encodeWrapped(renewed), u32(body.length), body])
  return { envelope: bytes, kekId: renewed.kekId, kekVersion: renewed.kekVersion }
}

function deriveKeys(dek: Secret, salt: Uint8Array): { encryptKey: Secret; commit: Buffer } {
  // [E2]
  const [encryptKey, commit] = dek.use((key) => hkdfSha512(key, salt, 'cre1:encrypt', 'cre1:commit'))
  return { encryptKey: new Secret(encryptKey), commit }
}

/** [E3] */
function bodyAad(fixed: Buffer, ctx: EnvelopeContext): Buffer {
  return Buffer.concat([BODY_DOMAIN, fixed, encodeContext(ctx)])
}

function encodeWrapped({ kekId, kekVersion, wrapped }: WrappedDek): Buffer {
  return Buffer.concat([lengthPrefixed(kekId), u32(kekVersion), u16(wrapped.length), wrapped])
}

type ParsedEnvelope = {
  fixed: Buffer
  salt: Buffer
  bodyNonce: Buffer
  commit: Buffer
  wrapped: WrappedDek
  body: Buffer
}

/** [E4] Every byte is accounted for; the suite is checked against the one we know, not believed. */
function parseEnvelope(envelope: Uint8Array): ParsedEnvelope {
  const bytes = Buffer.from(envelope.buffer, envelope.byteOffset, envelope.byteLength)
  let offset = 0
  const take = (length: number): Buffer => {
    if (offset + length > bytes.length) throw new EnvelopeError()
    offset += length
    return bytes.subarray(offset - length, offset)
  }
  if (!take(HEAD.length).equals(HEAD)) throw new EnvelopeError()
  const salt = take(SALT_BYTES)
  const bodyNonce = take(NONCE_BYTES)
  const commit = take(COMMIT_BYTES)
  const kekId = take(take(2).readUInt16BE()).toString('utf8')
  const kekVersion = take(4).readUInt32BE()
  const wrapped = take(take(2).readUInt16BE())
  const bodyBytes = take(4).readUInt32BE()
  if (bodyBytes < TAG_BYTES || bodyBytes > MAX_BODY_BYTES) throw new EnvelopeError()
  const body = take(bodyBytes)
  if (offset !== bytes.length) throw new EnvelopeError()
  const fixed = bytes.subarray(0, FIXED_BYTES)
  return { fixed, salt, bodyNonce, commit, wrapped: { kekId, kekVersion, wrapped }, body }
}
