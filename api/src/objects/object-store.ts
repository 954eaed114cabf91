import type { Readable } from 'node:stream'

/** Lower-case hex. */
type Sha256Hex = string

export type StoredObject = {
  key: string
  sizeBytes: number
  sha256: Sha256Hex
  contentType: string
}

/** Both ends inclusive, as in HTTP; `end` absent means to the end of the object. */
export type ByteRange = { start: number; end?: number }

export type PutOptions = {
  contentType: string
  /** Refuses the object when its bytes hash to something else; nothing is stored then. */
  sha256?: Sha256Hex | undefined
  /** Known length; anything else is refused. */
  sizeBytes?: number | undefined
  maxBytes?: number | undefined
}

export type SignedGetOptions = { expiresInSeconds: number; fileName?: string | undefined }

export type SignedPutOptions = {
  expiresInSeconds: number
  contentType: string
  maxBytes: number
  sha256?: Sha256Hex | undefined
}

export type OpenedObject = StoredObject & {
  /** Present when a range was asked for: what `body` really covers. */
  range?: { start: number; end: number }
  body: Readable
}

/**
 * Where artefacts, sources, bundles and logs live. Objects are written once: `put` never replaces one, and no key is
 * reused, so a URL or checksum handed out stays true. Every failure is an `ObjectStoreError`.
 */
export interface ObjectStore {
  put(key: string, body: Uint8Array | Readable, options: PutOptions): Promise<StoredObject>
  get(key: string, options?: { range?: ByteRange | undefined }): Promise<OpenedObject>
  head(key: string): Promise<StoredObject | null>
  /** Deleting what is not there is not an error. */
  delete(key: string): Promise<void>
  /**
   * Deletes every object below a folder, a key that ends in a slash, and answers how many they were; those that are
   * damaged too. Interrupted, it is asked again.
   */
  deleteBelow(folder: string): Promise<number>
  /** Keys that start with `prefix`, in no particular order. */
  list(prefix: string): AsyncIterable<{ key: string; sizeBytes: number }>
  signedGetUrl(key: string, options: SignedGetOptions): Promise<string>
  signedPutUrl(key: string, options: SignedPutOptions): Promise<string>
}

export type ObjectStoreErrorCode =
  | 'object-not-found'
  | 'object-exists'
  | 'object-key-invalid'
  | 'object-too-large'
  | 'object-size-mismatch'
  | 'object-checksum-mismatch'
  | 'object-range-invalid'
  | 'object-damaged'
  | 'object-store-key-wrong'
  | 'object-store-unavailable'

export class ObjectStoreError extends Error {
  override name = 'ObjectStoreError' as const
  readonly code: ObjectStoreErrorCode
  constructor(code: ObjectStoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

export const MAX_KEY_BYTES = 512
const SEGMENT = /^[A-Za-z0-9_=-][A-Za-z0-9._=-]{0,127}$/

/**
 * Keys are made by the platform from ids and fixed words, never from a file name a person chose; the grammar is narrow
 * so that every driver, file system and S3 server agrees on it.
 */
export function checkKey(key: string): string[] {
  const segments = key.split('/')
  if (key.length > MAX_KEY_BYTES || segments.length > 12 || !segments.every((segment) => SEGMENT.test(segment))) {
    throw new ObjectStoreError('object-key-invalid', 'The object key is not of the form word/word/word.')
  }
  return segments
}

/** A folder is a key that ends in a slash. */
export function checkFolder(folder: string): string[] {
  if (!folder.endsWith('/')) {
    throw new ObjectStoreError('object-key-invalid', 'The folder of objects is not of the form word/word/.')
  }
  return checkKey(folder.slice(0, -1))
}

/** The part of an object that a range asks for; HTTP's rules (RFC 9110 §14.1.2) for ranges past the end. */
export function resolveRange(range: ByteRange, sizeBytes: number): { start: number; end: number } {
  const end = Math.min(range.end ?? sizeBytes - 1, sizeBytes - 1)
  const sane = Number.isSafeInteger(range.start) && Number.isSafeInteger(end)
  if (!sane || range.start < 0 || range.start > end) {
    throw new ObjectStoreError(
      'object-range-invalid',
      `The object has ${sizeBytes} bytes; that range is not among them.`,
    )
  }
  return { start: range.start, end }
}
