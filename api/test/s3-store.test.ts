import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'

import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { kmsKeyId, openTestS3Store } from './object-stores.js'
import { createS3Client } from '../src/objects/s3-client.js'
import { createS3Store } from '../src/objects/s3-store.js'

const contentType = 'application/zip'
const code = (value: string) => expect.objectContaining({ name: 'ObjectStoreError', code: value }) as Error

let opened: Awaited<ReturnType<typeof openTestS3Store>>
beforeAll(async () => {
  opened = await openTestS3Store()
})
afterAll(() => opened[Symbol.asyncDispose]())

function clientWith(secretAccessKey = opened.server.keys.secretAccessKey): S3Client {
  const { region, accessKeyId } = opened.server.keys
  return createS3Client({ endpoint: opened.server.endpoint, region, credentials: { accessKeyId, secretAccessKey } })
}

test('every upload asks for SSE-KMS under the named key, for no overwriting, and carries its SHA-256', async () => {
  await opened.store.put('headers/1', Buffer.from('bytes'), { contentType })
  await opened.store.put('headers/2', Readable.from([Buffer.from('bytes')]), { contentType })
  const sha256 = createHash('sha256').update('bytes').digest('base64')
  expect(opened.server.puts.slice(-2)).toEqual(
    [1, 2].map(() =>
      expect.objectContaining({
        'x-amz-server-side-encryption': 'aws:kms',
        'x-amz-server-side-encryption-aws-kms-key-id': kmsKeyId,
        'x-amz-checksum-sha256': sha256,
        'if-none-match': '*',
        'content-length': '5',
        'content-type': contentType,
      }),
    ),
  )
})

test('a bucket that demands KMS refuses a driver without the key, and its reason is passed on', async () => {
  const without = createS3Store({ client: clientWith(), bucket: 'capstan-test', urls: opened.urls })
  await expect(without.put('nokms/1', Buffer.from('x'), { contentType })).rejects.toMatchObject({
    code: 'object-store-unavailable',
    message: expect.stringContaining('AccessDenied') as string,
  })
})

describe('the test server really verifies', () => {
  test('a wrong secret key is refused', async () => {
    const stranger = createS3Store({
      client: clientWith('not-it'),
      bucket: 'capstan-test',
      kmsKeyId,
      urls: opened.urls,
    })
    await expect(stranger.put('auth/1', Buffer.from('x'), { contentType })).rejects.toEqual(
      code('object-store-unavailable'),
    )
    expect(opened.server.refusals.at(-1)).toBe('403 SignatureDoesNotMatch')
  })

  test('an unsigned request and a presigned link for another key are refused', async () => {
    await opened.store.put('auth/2', Buffer.from('x'), { contentType })
    await opened.store.put('auth/3', Buffer.from('y'), { contentType })
    const url = await opened.store.signedGetUrl('auth/2', { expiresInSeconds: 60 })
    expect((await fetch(url)).status).toBe(200)
    expect((await fetch(url.slice(0, url.indexOf('?')))).status).toBe(403)
    expect((await fetch(url.replace('auth/2', 'auth/3'))).status).toBe(403)
    expect((await fetch(url.replace('X-Amz-Expires=60', 'X-Amz-Expires=6000'))).status).toBe(403)
    expect((await fetch(url, { method: 'DELETE' })).status).toBe(403)
  })

  test("the SDK's own streaming uploads, in aws-chunked framing with a CRC32 trailer, arrive unframed", async () => {
    const bytes = Buffer.alloc(200_000, 'abc')
    const put = new PutObjectCommand({
      Bucket: 'capstan-test',
      Key: 'chunked/1',
      Body: Readable.from([bytes.subarray(0, 70_000), bytes.subarray(70_000)], { objectMode: false }),
      ContentLength: bytes.length,
      ServerSideEncryption: 'aws:kms',
      SSEKMSKeyId: kmsKeyId,
    })
    const { endpoint, keys } = opened.server
    await new S3Client({ endpoint, region: keys.region, forcePathStyle: true, credentials: keys }).send(put)
    expect(opened.server.puts.at(-1)?.['x-amz-trailer']).toBe('x-amz-checksum-crc32')
    expect(opened.server.objects.get('chunked/1')?.body.equals(bytes)).toBe(true)
  })

  test('a checksum that does not fit is refused', async () => {
    const put = new PutObjectCommand({
      Bucket: 'capstan-test',
      Key: 'digest/1',
      Body: Buffer.from('x'),
      ChecksumSHA256: createHash('sha256').update('y').digest('base64'),
    })
    await expect(clientWith().send(put)).rejects.toMatchObject({ name: 'BadDigest' })
  })
})

test('bytes that S3 changed break the download off', async () => {
  await opened.store.put('changed/1', Buffer.from('right'), { contentType })
  const entry = opened.server.objects.get('changed/1')!
  expect(await (await opened.store.get('changed/1')).body.toArray()).toEqual([Buffer.from('right')])
  opened.server.objects.set('changed/1', { ...entry, body: Buffer.from('wrong') })
  await expect((await opened.store.get('changed/1')).body.toArray()).rejects.toEqual(code('object-damaged'))
})

test('a server that keeps no checksums is told apart from a missing object', async () => {
  await opened.store.put('nosum/1', Buffer.from('x'), { contentType })
  opened.server.objects.set('nosum/1', { ...opened.server.objects.get('nosum/1')!, sha256: null })
  await expect(opened.store.head('nosum/1')).rejects.toThrow(/does not keep SHA-256 checksums/)
  expect(await opened.store.head('nosum/2')).toBeNull()
})

test('a server that does not answer is unavailable, not empty', async () => {
  const own = await openTestS3Store()
  await own.server[Symbol.asyncDispose]()
  await expect(own.store.head('gone/1')).rejects.toEqual(code('object-store-unavailable'))
})
