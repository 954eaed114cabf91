import { randomBytes } from 'node:crypto'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'

import { openObjectStore } from '../src/objects/open-object-store.js'
import { kmsKeyId, publicUrl } from './object-stores.js'
import { startS3Server } from './s3-server.js'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'capstan-open-store-'))
})
afterAll(() => {
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true })
})

function keyFile(name: string, bytes: Uint8Array, mode = 0o600): string {
  const path = join(folder, name)
  writeFileSync(path, bytes)
  chmodSync(path, mode)
  return path
}

describe('opening the object store', () => {
  test('a folder and a key make a filesystem store, with links of its own', async () => {
    const settings = { kind: 'filesystem' as const, dir: join(folder, 'a'), keyFile: keyFile('good', randomBytes(32)) }
    const { store, urls } = await openObjectStore(settings, { publicUrl })
    await store.put('a/b', Buffer.from('x'), { contentType: 'text/plain' })
    const url = await store.signedGetUrl('a/b', { expiresInSeconds: 5 })
    expect(urls.verify(url.slice(`${publicUrl}/v1/objects/`.length))).toMatchObject({ m: 'GET', k: 'a/b' })
    // A second process with the same key sees the same objects and takes the same links.
    const again = await openObjectStore(settings, { publicUrl, urlSecret: randomBytes(32) })
    expect(await again.store.head('a/b')).toMatchObject({ sizeBytes: 1 })
    expect(again.urls.verify(url.slice(`${publicUrl}/v1/objects/`.length))).not.toBeNull()
  })

  test.each([
    [
      'is open to others',
      () => keyFile('open', randomBytes(32), 0o644),
      /OBJECT_STORE_KEY_FILE: .* open to group or others/,
    ],
    ['is short', () => keyFile('short', randomBytes(31)), /exactly 32/],
    ['is a placeholder', () => keyFile('zero', Buffer.alloc(32)), /does not look random/],
    ['is absent', () => join(folder, 'none'), /does not exist/],
  ])('a key that %s is refused', async (_, make, message) => {
    const settings = { kind: 'filesystem' as const, dir: join(folder, 'b'), keyFile: make() }
    await expect(openObjectStore(settings, { publicUrl })).rejects.toThrow(message)
  })

  test('a bucket makes an S3 store; upload links need a secret to sign them with', async () => {
    await using server = await startS3Server({ bucket: 'capstan-open', requireKmsKey: kmsKeyId })
    vi.stubEnv('AWS_ACCESS_KEY_ID', server.keys.accessKeyId)
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', server.keys.secretAccessKey)
    const settings = {
      kind: 's3' as const,
      bucket: 'capstan-open',
      endpoint: server.endpoint,
      region: server.keys.region,
      kmsKeyId,
    }
    const { store } = await openObjectStore(settings, { publicUrl, urlSecret: randomBytes(32) })
    await store.put('a/b', Buffer.from('x'), { contentType: 'text/plain' })
    expect(server.objects.get('a/b')?.body.toString()).toBe('x')
    const upload = { expiresInSeconds: 5, contentType: 'text/plain', maxBytes: 1 }
    expect(await store.signedPutUrl('a/c', upload)).toMatch(`${publicUrl}/v1/objects/`)
    const { store: control, urls } = await openObjectStore(settings, { publicUrl })
    expect(await control.head('a/b')).toMatchObject({ sizeBytes: 1 })
    await expect(control.signedPutUrl('a/c', upload)).rejects.toThrow(/no key to sign/)
    expect(urls.verify('anything')).toBeNull()
  })
})
