import { createHash } from 'node:crypto'

import type { KeyStore } from './key-store.js'

/** A copy of a key store, useless without the root key. `sha256` is over the records as JSON. */
export type KeyStoreBackup = {
  format: 'capstan-key-store-1'
  createdAt: string
  root: string
  records: { org: string; name: string; b64: string }[]
  sha256: string
}

export async function backUpKeyStore(store: KeyStore, root: string, now: Date): Promise<KeyStoreBackup> {
  const records: KeyStoreBackup['records'] = []
  for (const org of await store.organizations()) {
    for (const name of await store.list(org)) {
      const record = await store.read(org, name)
      if (record !== null) records.push({ org, name, b64: record.toString('base64') })
    }
  }
  const sha256 = createHash('sha256').update(JSON.stringify(records)).digest('hex')
  return { format: 'capstan-key-store-1', createdAt: now.toISOString(), root, records, sha256 }
}
