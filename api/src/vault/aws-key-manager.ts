import {
  DecryptCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  KMSClient,
  ReEncryptCommand,
} from '@aws-sdk/client-kms'

import { EnvelopeError, type KeyContext } from './envelope-context.js'
import { KeysUnavailable, type RootKeys, type WrappedDek } from './key-manager.js'
import { Secret } from './secret.js'

export type AwsKeySettings = {
  /** A key id, its ARN or an alias. Every call names it; what stands inside a ciphertext decides nothing. */
  keyId: string
  region?: string | undefined
  endpoint?: string | undefined
  /** For one call with all its repetitions. */
  deadlineMs?: number
  now?: () => number
}

/** KMS turns its keys over by itself and finds the right material: there is one version as far as we can tell. */
const KEK_VERSION = 1
const KEY_BYTES = 32
const MAX_ATTEMPTS = 3
const ATTEMPT_MS = 1_500
/** How long what the last call told of the key service is believed: a probe costs a request of the account's share. */
const BELIEVED_MS = { good: 5 * 60_000, bad: 5_000 }
const MAX_WRAPPED_BYTES = 6_144

/** What KMS says of a ciphertext or a context that is wrong, as against a key that cannot be used. */
const WRONG = new Set(['InvalidCiphertextException', 'IncorrectKeyException', 'ValidationException'])

/** Keeps the root in AWS KMS: no root key is ever in this process. */
export function createAwsKeyManager({
  keyId,
  region,
  endpoint,
  deadlineMs = 4_000,
  now = Date.now,
}: AwsKeySettings): RootKeys {
  const kekId = `aws:${keyId}`
  const client = new KMSClient({
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    maxAttempts: MAX_ATTEMPTS,
    requestHandler: { connectionTimeout: 1_000, requestTimeout: ATTEMPT_MS, throwOnRequestTimeout: true },
  })

  let last: { at: number; failure: KeysUnavailable | null } = { at: -Infinity, failure: null }
  let probe: Promise<void> | null = null

  async function call<T>(work: (options: { abortSignal: AbortSignal }) => Promise<T>): Promise<T> {
    try {
      const answer = await work({ abortSignal: AbortSignal.timeout(deadlineMs) })
      last = { at: now(), failure: null }
      return answer
    } catch (error) {
      const name = error instanceof Error ? error.name : 'unknown'
      if (WRONG.has(name)) throw new EnvelopeError()
      last = { at: now(), failure: new KeysUnavailable(name) }
      throw last.failure
    }
  }

  const stored = (blob: Uint8Array | undefined): WrappedDek => {
    if (blob === undefined || blob.length === 0) throw new KeysUnavailable('empty answer')
    return { wrapped: blob, kekId, kekVersion: KEK_VERSION }
  }

  function requireOwn({ kekId: id, kekVersion, wrapped }: WrappedDek): void {
    const fits = wrapped.length > 0 && wrapped.length <= MAX_WRAPPED_BYTES
    if (id !== kekId || kekVersion !== KEK_VERSION || !fits) throw new EnvelopeError()
  }

  return {
    id: kekId,
    knows: (id) => id === kekId,
    async generateDek(ctx) {
      const command = new GenerateDataKeyCommand({
        KeyId: keyId,
        EncryptionContext: { ...ctx },
        NumberOfBytes: KEY_BYTES,
      })
      const { Plaintext, CiphertextBlob } = await call((options) => client.send(command, options))
      return { dek: takeKey(Plaintext), ...stored(CiphertextBlob) }
    },
    async wrap(key, ctx) {
      const Plaintext = key.use((bytes) => Buffer.from(bytes))
      const command = new EncryptCommand({ KeyId: keyId, EncryptionContext: { ...ctx }, Plaintext })
      try {
        return stored((await call((options) => client.send(command, options))).CiphertextBlob)
      } finally {
        Plaintext.fill(0)
      }
    },
    async unwrap(key, ctx) {
      requireOwn(key)
      const command = new DecryptCommand({ KeyId: keyId, EncryptionContext: { ...ctx }, CiphertextBlob: key.wrapped })
      return takeKey((await call((options) => client.send(command, options))).Plaintext)
    },
    async rewrap(key, ctx) {
      requireOwn(key)
      const context: KeyContext = { ...ctx }
      const command = new ReEncryptCommand({
        SourceKeyId: keyId,
        DestinationKeyId: keyId,
        SourceEncryptionContext: { ...context },
        DestinationEncryptionContext: { ...context },
        CiphertextBlob: key.wrapped,
      })
      return stored((await call((options) => client.send(command, options))).CiphertextBlob)
    },
    async health() {
      const age = now() - last.at
      if (age > BELIEVED_MS[last.failure === null ? 'good' : 'bad']) {
        probe ??= this.generateDek({ purpose: 'health' })
          .then(({ dek }) => dek[Symbol.dispose]())
          .finally(() => (probe = null))
        await probe
      } else if (last.failure !== null) throw last.failure
      return { writable: true, kekVersion: KEK_VERSION }
    },
  }
}

function takeKey(plaintext: Uint8Array | undefined): Secret {
  if (plaintext === undefined) throw new KeysUnavailable('empty answer')
  const key = Buffer.from(plaintext)
  plaintext.fill(0)
  if (key.length !== KEY_BYTES) throw new EnvelopeError()
  return new Secret(key)
}
