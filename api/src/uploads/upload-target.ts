/** What a multipart upload fills: its row, and the folder of object keys under which its bytes are kept. */
export type UploadTarget = {
  kind: 'build-source' | 'bundle-file'
  id: string
  /** `orgs/<org>/apps/<app>/…` without a slash at the end. */
  folder: string
  /** Limit of the joined file. */
  maxBytes: number
  contentType: string
}

/** Bytes of a target once all parts are joined. */
export type JoinedUpload = { objectKey: string; sizeBytes: number; sha256: string }

export type UploadedPart = { partNumber: number; etag: string }
