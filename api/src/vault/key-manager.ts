import type { EnvelopeContext } from './envelope-context.js'
import type { Secret } from './secret.js'

/** A data key as it is stored: unreadable without the key-encryption key that `kekId` and `kekVersion` name. */
export type WrappedDek = { wrapped: Uint8Array; kekId: string; kekVersion: number }

/**
 * Who holds the key-encryption keys. Every key is bound to its context: what was wrapped for one credential version does
 * not unwrap for another. All failures of `unwrap` and `rewrap` are the same `EnvelopeError`.
 */
export interface KeyManager {
  readonly id: string
  generateDek(ctx: EnvelopeContext): Promise<WrappedDek & { dek: Secret }>
  unwrap(key: WrappedDek, ctx: EnvelopeContext): Promise<Secret>
  /** The same data key under the newest key-encryption key; the caller never sees it. */
  rewrap(key: WrappedDek, ctx: EnvelopeContext): Promise<WrappedDek>
  health(): Promise<{ writable: boolean; kekVersion: number }>
}
