import { hkdfSync } from 'node:crypto'

import { encodeContext, EnvelopeError, type KeyContext, lengthPrefixed, u32 } from './envelope-context.js'
import type { RandomBytes } from './envelope.js'
import { gcmOpen, gcmSeal, NONCE_BYTES, TAG_BYTES } from './gcm.js'
import type { RootKeys, WrappedDek } from './key-manager.js'
import type { MasterKey } from './master-key-file.js'
import { takeRandomBytes } from './random-bytes.js'
import { Secret } from './secret.js'

const DEK_BYTES = 32
const WRAP_DOMAIN = Buffer.from('cre1:wrap\0', 'latin1')
const WRAPPED_BYTES = NONCE_BYTES + DEK_BYTES + TAG_BYTES

export type LocalKeys = {
  kekId: string
  /** Key-encryption keys by version. New data keys go under the highest. */
  keks: ReadonlyMap<number, Secret>
  /** What was wrapped under an older version no longer opens. */
  minKekVersion?: number
  random?: RandomBytes
}

/** The key-encryption keys of one master key: `HKDF-SHA-512(master, key id, "kek/v<version>", 32)`. */
export function deriveLocalKeys(master: MasterKey, versions: readonly number[] = [1]): LocalKeys {
  const salt = Buffer.from(master.id, 'utf8')
  const derive = (version: number) =>
    new Secret(master.key.use((key) => Buffer.from(hkdfSync('sha512', key, salt, `kek/v${version}`, 32))))
  return { kekId: `local:${master.id}`, keks: new Map(versions.map((version) => [version, derive(version)])) }
}

/**
 * Keeps the key-encryption keys in this process's memory: only the broker makes one. Every call is done with the keys
 * when it returns its promise.
 */
export function createLocalKeyManager({
  kekId,
  keks,
  minKekVersion = 1,
  random = takeRandomBytes,
}: LocalKeys): RootKeys {
  const newest = Math.max(...keks.keys())
  const newestKek = keks.get(newest)
  if (newestKek === undefined || newest < minKekVersion) throw new Error('a key manager needs a usable key')

  function wrap(dek: Secret, ctx: KeyContext): WrappedDek {
    const nonce = random(NONCE_BYTES)
    const aad = wrapAad(kekId, newest, ctx)
    const sealed = keks.get(newest)?.use((kek) => dek.use((bytes) => gcmSeal(kek, nonce, aad, bytes)))
    if (sealed === undefined) throw new EnvelopeError()
    return { wrapped: Buffer.concat([nonce, ...sealed]), kekId, kekVersion: newest }
  }

  function unwrap(key: WrappedDek, ctx: KeyContext): Secret {
    const kek = key.kekId === kekId && key.kekVersion >= minKekVersion ? keks.get(key.kekVersion) : undefined
    if (kek === undefined || key.wrapped.length !== WRAPPED_BYTES) throw new EnvelopeError()
    const nonce = key.wrapped.subarray(0, NONCE_BYTES)
    const aad = wrapAad(kekId, key.kekVersion, ctx)
    return new Secret(kek.use((bytes) => gcmOpen(bytes, nonce, aad, key.wrapped.subarray(NONCE_BYTES))))
  }

  return {
    id: kekId,
    unwrap: async (key, ctx) => unwrap(key, ctx),
    wrap: async (key, ctx) => wrap(key, ctx),
    knows: (id) => id === kekId,
    async generateDek(ctx) {
      const dek = new Secret(random(DEK_BYTES))
      return { dek, ...wrap(dek, ctx) }
    },
    async rewrap(key, ctx) {
      using dek = unwrap(key, ctx)
      return wrap(dek, ctx)
    },
    async health() {
      return { writable: true, kekVersion: newest }
    },
  }
}

function wrapAad(kekId: string, kekVersion: number, ctx: KeyContext): Buffer {
  return Buffer.concat([WRAP_DOMAIN, lengthPrefixed(kekId), u32(kekVersion), encodeContext(ctx)])
}
