import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import { openFilesystemStore } from '../src/objects/filesystem-store.js'
import type { ObjectStore } from '../src/objects/object-store.js'
import { createS3Client } from '../src/objects/s3-client.js'
import { createS3Store } from '../src/objects/s3-store.js'
import { createUrlSigner, type UrlSigner } from '../src/objects/sign-object-url.js'
import { type S3TestServer, startS3Server } from './s3-server.js'
import type { VersityServer } from './versity-server.js'

export const publicUrl = 'http://127.0.0.1:4400'

export type StoreUnderTest = {
  store: ObjectStore
  urls: UrlSigner
  /** Makes the store and the API believe that this many milliseconds have passed, or lets them pass. */
  letPass(ms: number): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

export async function openTestFilesystemStore(): Promise<StoreUnderTest & { dir: string; storeKey: Buffer }> {
  const dir = await mkdtemp(join(tmpdir(), 'capstan-objects-'))
  const storeKey = randomBytes(32)
  let passed = 0
  const urls = createUrlSigner({ publicUrl, key: storeKey, now: () => Date.now() + passed })
  const store = await openFilesystemStore({ dir, storeKey, urls })
  const letPass = async (ms: number) => {
    passed += ms
  }
  return { store, urls, letPass, dir, storeKey, [Symbol.asyncDispose]: () => rm(dir, { recursive: true }) }
}

export const kmsKeyId = 'arn:aws:kms:eu-test-1:000000000000:key/7f0e'

export async function openTestS3Store(credentials?: {
  accessKeyId: string
  secretAccessKey: string
}): Promise<StoreUnderTest & { server: S3TestServer }> {
  const server = await startS3Server({ bucket: 'capstan-test', requireKmsKey: kmsKeyId })
  const { region, ...keys } = server.keys
  const client = createS3Client({ endpoint: server.endpoint, region, credentials: credentials ?? keys })
  const urls = createUrlSigner({ publicUrl, key: randomBytes(32) })
  const store = createS3Store({ client, bucket: 'capstan-test', kmsKeyId, urls })
  const letPass = async (ms: number) => {
    server.skewMs += ms
  }
  const dispose = async () => {
    client.destroy()
    await server[Symbol.asyncDispose]()
  }
  return { store, urls, letPass, server, [Symbol.asyncDispose]: dispose }
}

/** A store in a bucket of a server that others wrote; it knows no KMS. */
export function openForeignS3Store({ endpoint, region, bucket, credentials }: VersityServer): StoreUnderTest {
  const client = createS3Client({ endpoint, region, credentials })
  const urls = createUrlSigner({ publicUrl, key: randomBytes(32) })
  const store = createS3Store({ client, bucket, urls })
  const dispose = async () => client.destroy()
  return { store, urls, letPass: (ms) => sleep(ms), [Symbol.asyncDispose]: dispose }
}
