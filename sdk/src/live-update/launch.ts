/** What the host shall show. */
export interface Launch {
  /** `null` is the built-in bundle. */
  bundleId: string | null
  /** Where its index.html is, in the terms of the storage. */
  directory: string
  /** To be given to `ready` when the page works; `null` when nothing has to be confirmed. */
  nonce: string | null
}
