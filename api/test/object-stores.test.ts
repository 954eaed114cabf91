import { afterAll, describe, expect, test } from 'vitest'

import { testObjectStore } from './object-store-contract.js'
import { openForeignS3Store, openTestFilesystemStore, openTestS3Store } from './object-stores.js'
import { startVersityServer } from './versity-server.js'

describe('object store: filesystem', () => testObjectStore(openTestFilesystemStore))
describe('object store: S3', () => {
  testObjectStore(openTestS3Store)

  test('what the server will not delete is told, and keeps nothing else from going', async () => {
    await using opened = await openTestS3Store()
    const keys = Array.from({ length: 7 }, (_, index) => `below/${index}`)
    for (const key of keys) await opened.store.put(key, Buffer.from(key), { contentType: 'text/plain' })
    opened.server.undeletable.add('below/1')
    await expect(opened.store.deleteBelow('below/')).rejects.toMatchObject({ code: 'object-store-unavailable' })
    expect([...opened.server.objects.keys()]).toEqual(['below/1'])
    opened.server.undeletable.clear()
    expect(await opened.store.deleteBelow('below/')).toBe(1)
  })
})

const foreign = await startVersityServer()
afterAll(() => foreign?.[Symbol.asyncDispose]())

describe.skipIf(foreign === null)('object store: S3 on a server that others wrote', () => {
  if (!foreign) return
  testObjectStore(async () => openForeignS3Store(foreign))

  test('the server refuses a wrong secret key', async () => {
    const credentials = { ...foreign.credentials, secretAccessKey: 'not-it' }
    await using stranger = openForeignS3Store({ ...foreign, credentials })
    await expect(stranger.store.head('auth/1')).rejects.toMatchObject({ code: 'object-store-unavailable' })
  })
})
