import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { openFilesystemStore } from '../src/objects/filesystem-store.js'
import type { ObjectStore } from '../src/objects/object-store.js'
import { createS3Client } from '../src/objects/s3-client.js'
import { createS3Store } from '../src/objects/s3-store.js'
import { createUrlSigner, type UrlSigner } from '../src/objects/sign-object-url.js'
import { type S3TestServer, startS3Server } from './s3-server.js'

export const publicUrl = 'http://127.0.0.1:4400'

/** A clock that a test can move; signed URLs of the API go by it. */
export type Clock = { now: number }
export type StoreUnderTest = {
  store: ObjectStore
  urls: UrlSigner
  clock: Clock
  [Symbol.asyncDispose](): Promise<void>
}

export async function openTestFilesystemStore(): Promise<StoreUnderTest & { dir: string; storeKey: Buffer }> {
  const dir = await mkdtemp(join(tmpdir(), 'capstan-objects-'))
  const storeKey = randomBytes(32)
  const clock = { now: Date.now() }
  const urls = createUrlSigner({ publicUrl, key: storeKey, now: () => clock.now })
  const store = await openFilesystemStore({ dir, storeKey, urls })
  return { store, urls, clock, dir, storeKey, [Symbol.asyncDispose]: () => rm(dir, { recursive: true }) }
}

export const kmsKeyId = 'arn:aws:kms:eu-test-1:000000000000:key/7f0e'

export async function openTestS3Store(credentials?: {
  accessKeyId: string
  secretAccessKey: string
}): Promise<StoreUnderTest & { server: S3TestServer }> {
  const server = await startS3Server({ bucket: 'capstan-test', requireKmsKey: kmsKeyId })
  const { region, ...keys } = server.keys
  const client = createS3Client({ endpoint: server.endpoint, region, credentials: credentials ?? keys })
  const clock = { now: Date.now() }
  const urls = createUrlSigner({ publicUrl, key: randomBytes(32), now: () => clock.now })
  const store = createS3Store({ client, bucket: 'capstan-test', kmsKeyId, urls })
  const dispose = async () => {
    client.destroy()
    await server[Symbol.asyncDispose]()
  }
  return { store, urls, clock, server, [Symbol.asyncDispose]: dispose }
}
