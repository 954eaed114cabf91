import { Readable } from 'node:stream'
import { DeleteObjectCommand, ListObjectsV2Command, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import { checkKey, ObjectStoreError } from '../objects/object-store.js'
import type { StaticStore } from './static-store.js'

/**
 * Static objects in a bucket of their own, which a CDN may read: no policy for it can ever open the private one. They are
 * encrypted as the bucket says, not under the key of the private objects, which a CDN must not have.
 */
export function createBucketStore({ client, bucket }: { client: S3Client; bucket: string }): StaticStore {
  const at = (path: string) => ({ Bucket: bucket, Key: checkKey(path).join('/') })
  const remove = async (path: string) => {
    await client.send(new DeleteObjectCommand(at(path))).catch(unavailable)
  }
  return {
    async put(path, { body, sizeBytes, contentType, cacheControl }) {
      const target = { ...at(path), ContentType: contentType, CacheControl: cacheControl, ContentLength: sizeBytes }
      const Body = body instanceof Readable ? body : Buffer.from(body)
      await client.send(new PutObjectCommand({ ...target, Body })).catch(unavailable)
    },
    delete: remove,
    async deleteFolder(folder) {
      checkKey(folder)
      for (;;) {
        // From the start each time: what was listed is gone by the next look.
        const page = await client
          .send(new ListObjectsV2Command({ Bucket: bucket, Prefix: `${folder}/` }))
          .catch(unavailable)
        const keys = (page.Contents ?? []).flatMap(({ Key }) => (Key === undefined ? [] : [Key]))
        if (keys.length === 0) return
        await Promise.all(keys.map(remove))
      }
    },
  }
}

function unavailable(error: unknown): never {
  const reason = error instanceof Error ? error.name : 'unknown error'
  throw new ObjectStoreError('object-store-unavailable', `The S3 server refused or failed (${reason}).`, {
    cause: error,
  })
}
