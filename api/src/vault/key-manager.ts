import type { EnvelopeContext, KeyContext } from './envelope-context.js'
import type { Secret } from './secret.js'

/** A key as it is stored: unreadable without the key-encryption key that `kekId` and `kekVersion` name. */
export type WrappedDek = { wrapped: Uint8Array; kekId: string; kekVersion: number }

/**
 * Who holds the key-encryption keys. Every key is bound to its context: what was wrapped for one context does not unwrap
 * for another. All ways in which a wrapped key can be wrong are the same `EnvelopeError`; a key service that does not
 * answer, or whose key is out of use, is a `KeysUnavailable`.
 */
export interface KeyManager<Context extends KeyContext = EnvelopeContext> {
  readonly id: string
  generateDek(ctx: Context): Promise<WrappedDek & { dek: Secret }>
  unwrap(key: WrappedDek, ctx: Context): Promise<Secret>
  /** The same data key under the newest key-encryption key; the caller never sees it. */
  rewrap(key: WrappedDek, ctx: Context): Promise<WrappedDek>
  health(): Promise<{ writable: boolean; kekVersion: number }>
}

/** Holds what the organization keys are wrapped with: the local master key or a key service. */
export interface RootKeys extends KeyManager<KeyContext> {
  /** Wraps a key that exists already: how keys move from one root to another. */
  wrap(key: Secret, ctx: KeyContext): Promise<WrappedDek>
  /** Whether a key wrapped under `kekId` is this root's to unwrap. */
  knows(kekId: string): boolean
}

/** The keys cannot be used now. Nothing is known about what was to be opened; trying later is safe. */
export class KeysUnavailable extends Error {
  override name = 'KeysUnavailable' as const
  readonly reason: string

  constructor(reason: string) {
    super(`The key service cannot be used now (${reason}).`)
    this.reason = reason
  }
}
