// Re-wraps one organization with the broker's own code until it is killed or done; when done, it rotates and goes on.
// Arguments: database URL, folder of the key store, file of the master key, organization.
import { openDatabase } from '@capstan/migrations'

import { openRootKeys } from '../../dist/broker/open-root-keys.js'
import { rewrapOrganization } from '../../dist/broker/rewrap-organization.js'
import { openDirectoryKeyStore } from '../../dist/vault/directory-key-store.js'
import { createOrganizationKeys } from '../../dist/vault/organization-keys.js'

const [url, folder, masterKeyFile, org] = process.argv.slice(2)
const root = await openRootKeys({ MASTER_KEY_FILE: masterKeyFile, KMS_OLD_KEY_IDS: [] })
const { db } = openDatabase({ url, poolSize: 2 })
const keys = createOrganizationKeys({ root, store: await openDirectoryKeyStore(folder) })
const deps = { db, keys, now: () => new Date(Date.now() + 3_600_000) }

process.stdout.write('begun\n')
for (let cursor = null; ;) {
  const step = await rewrapOrganization(deps, { org, cursor, limit: 200, requestId: 'rewrap-child' })
  process.stdout.write(`moved ${step.rows}\n`)
  cursor = step.more ? step.cursor : null
  if (!step.more) await keys.rotate(org)
}
