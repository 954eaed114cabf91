import type { BrokerConfig } from '../config.js'
import type { RootKeys } from '../vault/key-manager.js'
import { createLocalKeyManager, deriveLocalKeys } from '../vault/local-key-manager.js'
import { readMasterKeyFile } from '../vault/master-key-file.js'
import { createRootKeyring } from '../vault/root-keyring.js'

type RootSettings = Pick<
  BrokerConfig,
  'MASTER_KEY_FILE' | 'KMS_KEY_ID' | 'KMS_OLD_KEY_IDS' | 'KMS_ENDPOINT' | 'AWS_REGION'
>

/** AWS KMS is the root when it is named, and the master keys, if any, only unwrap what is still under them. */
export async function openRootKeys(config: RootSettings): Promise<RootKeys> {
  const local = config.MASTER_KEY_FILE === undefined ? [] : await openLocal(config.MASTER_KEY_FILE)
  const ids = config.KMS_KEY_ID === undefined ? [] : [config.KMS_KEY_ID, ...config.KMS_OLD_KEY_IDS]
  const aws = ids.length === 0 ? [] : await openAws(ids, config)
  const [primary, ...older] = [...aws, ...local]
  if (primary === undefined) throw new Error('the broker needs a root key')
  return createRootKeyring(primary, older)
}

async function openAws(
  ids: string[],
  { AWS_REGION: region, KMS_ENDPOINT: endpoint }: RootSettings,
): Promise<RootKeys[]> {
  const { createAwsKeyManager } = await import('../vault/aws-key-manager.js')
  return ids.map((keyId) => createAwsKeyManager({ keyId, region, endpoint }))
}

async function openLocal(path: string): Promise<RootKeys[]> {
  const masters = await readMasterKeyFile(path)
  return masters.map((master) => {
    const keys = createLocalKeyManager(deriveLocalKeys(master))
    master.key[Symbol.dispose]()
    return keys
  })
}
