import type { Readable } from 'node:stream'

export type StaticObject = {
  body: Uint8Array | Readable
  sizeBytes: number
  contentType: string
  cacheControl: string
}

/**
 * Where objects lie that anybody may fetch: apart from the object store, whose content is private. Paths are made of ids
 * and hashes. Writing replaces what is there in one step; removing what is not there is no error.
 */
export interface StaticStore {
  put(path: string, object: StaticObject): Promise<void>
  delete(path: string): Promise<void>
  /** Everything below a folder. */
  deleteFolder(folder: string): Promise<void>
}
