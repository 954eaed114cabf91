import type { FileDigest } from '../archive/sha256.js'

/** A bundle on its way in. Nothing of it is visible until `commit`. */
export interface StagedBundle {
  /** Writes one file. The path has passed the archive rules. */
  write(path: string, content: Uint8Array): Promise<void>
  /**
   * Makes everything written, in one step, the bundle `id`; replaces a bundle of that id. It need not be durable before
   * `persist`: a bundle that lost bytes with the power is known by its digest.
   */
  commit(id: string): Promise<void>
  /** Forgets what was written. */
  discard(): Promise<void>
}

/**
 * Where bundles and the client's state live. A crash at any moment leaves either what was before or what is after.
 * `writeState` and `persist` are durable when they resolve. One client uses a storage at a time, unless it has a `lock`.
 */
export interface BundleStorage {
  /** The last text given to `writeState`, or `null`. */
  readState(): Promise<string | null>
  /** Replaces the state in one step. */
  writeState(text: string): Promise<void>
  stage(): Promise<StagedBundle>
  /** Makes a bundle durable: from then on a lost power supply leaves it whole. */
  persist(id: string): Promise<void>
  /**
   * Digests every file of a bundle, sorted by path; `null` when there is no such bundle or it holds anything but files.
   * For `null` the built-in bundle, where the host can list it.
   */
  digest(id: string | null): Promise<FileDigest[] | null>
  /**
   * One file of a bundle, or of the built-in bundle for `null`; `null` when there is none or it cannot be read. The
   * bytes are whatever is there by now: hash them before they are used.
   */
  read(id: string | null, path: string): Promise<Uint8Array | null>
  /** Removes every bundle that is not in `keep`. */
  prune(keep: readonly string[]): Promise<void>
  /** Removes what interrupted stagings left. */
  clearStaged(): Promise<void>
  /** Keeps a piece of an interrupted download, number 0 first. It need not be durable: it is hashed before use. */
  addPiece(index: number, piece: Uint8Array): Promise<void>
  /** The pieces in order, up to the first that is missing. */
  readPieces(): Promise<Uint8Array[]>
  clearPieces(): Promise<void>
  /** Keeps others that share this storage out while `run` changes the state; for storages that several clients use. */
  lock?<T>(run: () => Promise<T>): Promise<T>
  /** Where the host finds a bundle's web root, or the built-in bundle for `null`. */
  locate(bundle: { id: string; root: string } | null): string
}
