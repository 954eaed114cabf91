import { createHash } from 'node:crypto'
import { pipeline, Readable, Transform } from 'node:stream'

import {
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type PutObjectCommandInput,
  type S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'

import { attachmentNamed } from './attachment-named.js'
import {
  checkFolder,
  checkKey,
  type ObjectStore,
  ObjectStoreError,
  resolveRange,
  type StoredObject,
} from './object-store.js'
import type { UrlSigner } from './sign-object-url.js'
import { spoolBody } from './spool-body.js'

const DELETED_AT_ONCE = 1000

export type S3StoreOptions = { client: S3Client; bucket: string; kmsKeyId?: string | undefined; urls: UrlSigner }

/**
 * Objects in an S3 bucket, encrypted by SSE-KMS when a KMS key is named. Downloads are presigned; uploads go through the
 * API's own signed URLs (FORMAT.md tells why).
 */
export function createS3Store({ client, bucket, kmsKeyId, urls }: S3StoreOptions): ObjectStore {
  const at = (key: string) => ({ Bucket: bucket, Key: checkKey(key).join('/') })

  async function head(key: string): Promise<StoredObject | null> {
    try {
      const found = await client.send(new HeadObjectCommand({ ...at(key), ChecksumMode: 'ENABLED' }))
      return describe(key, found.ContentLength, found.ChecksumSHA256, found.ContentType)
    } catch (error) {
      if (statusOf(error) === 404) return null
      throw asStoreError(error)
    }
  }

  async function* list(prefix: string): AsyncGenerator<{ key: string; sizeBytes: number }> {
    let token: string | undefined
    do {
      const page = await client
        .send(new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, ContinuationToken: token }))
        .catch((error: unknown) => {
          throw asStoreError(error)
        })
      for (const { Key, Size } of page.Contents ?? []) {
        if (Key !== undefined) yield { key: Key, sizeBytes: Size ?? 0 }
      }
      token = page.NextContinuationToken
    } while (token !== undefined)
  }

  /** What S3 refuses to delete keeps nothing else from going, and is told at the end. */
  async function deleteBelow(folder: string): Promise<number> {
    checkFolder(folder)
    const outcome = { deleted: 0, kept: 0 }
    let batch: string[] = []
    const deleteBatch = async () => {
      const kept = await deleteKeys(batch)
      outcome.kept += kept
      outcome.deleted += batch.length - kept
      batch = []
    }
    for await (const { key } of list(folder)) {
      batch.push(key)
      if (batch.length === DELETED_AT_ONCE) await deleteBatch()
    }
    if (batch.length > 0) await deleteBatch()
    if (outcome.kept === 0) return outcome.deleted
    throw new ObjectStoreError('object-store-unavailable', `The S3 server did not delete ${outcome.kept} objects.`)
  }

  /** Resolves to how many of them the server kept. */
  async function deleteKeys(keys: readonly string[]): Promise<number> {
    const Delete = { Objects: keys.map((Key) => ({ Key })), Quiet: true }
    try {
      const { Errors } = await client.send(new DeleteObjectsCommand({ Bucket: bucket, Delete }))
      return Errors?.length ?? 0
    } catch (error) {
      throw asStoreError(error)
    }
  }

  return {
    head,
    async put(key, body, options) {
      const target = at(key)
      const spooled = await spoolBody(body, options)
      try {
        const { sizeBytes, sha256 } = spooled
        const input: PutObjectCommandInput = {
          ...target,
          Body: spooled.read(),
          ContentLength: sizeBytes,
          ContentType: options.contentType,
          ChecksumSHA256: Buffer.from(sha256, 'hex').toString('base64'),
          IfNoneMatch: '*',
          ...(kmsKeyId !== undefined && { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: kmsKeyId }),
        }
        await client.send(new PutObjectCommand(input))
        return { key, sizeBytes, sha256, contentType: options.contentType }
      } catch (error) {
        throw asStoreError(error, key)
      } finally {
        await spooled.close()
      }
    },
    async get(key, options = {}) {
      const object = await head(key)
      if (object === null) throw new ObjectStoreError('object-not-found', 'There is no such object.')
      const range = options.range === undefined ? undefined : resolveRange(options.range, object.sizeBytes)
      try {
        const wanted = range === undefined ? {} : { Range: `bytes=${range.start}-${range.end}` }
        const { Body } = await client.send(new GetObjectCommand({ ...at(key), ...wanted }))
        if (!(Body instanceof Readable)) throw new TypeError('S3 answered without a body stream')
        return { ...object, ...(range && { range }), body: range === undefined ? verified(Body, object) : Body }
      } catch (error) {
        throw asStoreError(error)
      }
    },
    async delete(key) {
      await client.send(new DeleteObjectCommand(at(key))).catch((error: unknown) => {
        throw asStoreError(error)
      })
    },
    deleteBelow,
    list,
    signedGetUrl(key, { expiresInSeconds, fileName = 'download' }) {
      const ResponseContentDisposition = attachmentNamed(fileName)
      const command = new GetObjectCommand({ ...at(key), ResponseContentDisposition })
      return getSignedUrl(client, command, { expiresIn: expiresInSeconds })
    },
    async signedPutUrl(key, options) {
      checkKey(key)
      return urls.signPut(key, options)
    },
  }
}

function describe(key: string, sizeBytes?: number, checksum?: string, contentType?: string): StoredObject {
  if (sizeBytes === undefined || checksum === undefined) {
    throw new ObjectStoreError('object-store-unavailable', 'The S3 server does not keep SHA-256 checksums of objects.')
  }
  const sha256 = Buffer.from(checksum, 'base64').toString('hex')
  return { key, sizeBytes, sha256, contentType: contentType ?? 'application/octet-stream' }
}

/** A whole object is checked while it streams; the stream fails before its end when the bytes are not the stored ones. */
function verified(body: Readable, object: StoredObject): Readable {
  const hash = createHash('sha256')
  const check = new Transform({
    transform(piece: Buffer, _encoding, done) {
      hash.update(piece)
      done(null, piece)
    },
    flush(done) {
      done(hash.digest('hex') === object.sha256 ? null : new ObjectStoreError('object-damaged', 'S3 sent other bytes.'))
    },
  })
  return pipeline(body, check, () => undefined)
}

function statusOf(error: unknown): number | undefined {
  return error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined
}

function asStoreError(error: unknown, key = 'The object'): ObjectStoreError {
  if (error instanceof ObjectStoreError) return error
  const status = statusOf(error)
  if (status === 404) return new ObjectStoreError('object-not-found', 'There is no such object.', { cause: error })
  if (status === 412) {
    return new ObjectStoreError('object-exists', `${key} is already stored; objects are written once.`, {
      cause: error,
    })
  }
  const reason = error instanceof Error ? error.name : 'unknown error'
  return new ObjectStoreError('object-store-unavailable', `The S3 server refused or failed (${reason}).`, {
    cause: error,
  })
}
