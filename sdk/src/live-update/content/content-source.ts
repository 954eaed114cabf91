/** Takes one file of the bundle. Resolves when there is room for the next; rejects when the bundle is refused. */
export type PutFile = (path: string, content: Uint8Array) => Promise<void>

/**
 * One way to come to the content of a bundle. A source is never believed: whatever it puts is hashed as it is stored and
 * compared with the signed list, so that every source is verified in the same way.
 */
export interface ContentSource {
  readonly kind: 'patch' | 'files' | 'archive'
  /** The bytes that it expects to transfer. The cheapest source is tried first. */
  readonly costBytes: number
  /** Puts every file of the bundle, each once, in any order. Its code is loaded on demand. */
  provide(put: PutFile): Promise<void>
}
