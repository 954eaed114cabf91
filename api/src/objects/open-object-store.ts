import { readRawKeyFile } from '../vault/read-secret-file.js'
import { openFilesystemStore } from './filesystem-store.js'
import type { ObjectStore } from './object-store.js'
import { createUrlSigner, type UrlSigner } from './sign-object-url.js'

export type ObjectStoreSettings =
  | { kind: 'filesystem'; dir: string; keyFile: string }
  | { kind: 's3'; bucket: string; endpoint?: string; region?: string; kmsKeyId?: string }

export type ObjectStoreAccess = {
  publicUrl: string
  /** Signs the API's own object URLs when the store has no key file: the token pepper; sub-keys are derived from it. */
  urlSecret?: Uint8Array
}

export type OpenedObjectStore = { store: ObjectStore; urls: UrlSigner }

/** The one place that knows which driver is in use. */
export async function openObjectStore(
  settings: ObjectStoreSettings,
  { publicUrl, urlSecret }: ObjectStoreAccess,
): Promise<OpenedObjectStore> {
  if (settings.kind === 'filesystem') {
    const storeKey = await readRawKeyFile(settings.keyFile, 'OBJECT_STORE_KEY_FILE')
    const urls = createUrlSigner({ publicUrl, key: storeKey })
    return { urls, store: await openFilesystemStore({ dir: settings.dir, storeKey, urls }) }
  }
  const { bucket, endpoint, region, kmsKeyId } = settings
  // The AWS SDK is loaded only where it is used: it costs every start a fifth of a second.
  const [{ createS3Client }, { createS3Store }] = await Promise.all([import('./s3-client.js'), import('./s3-store.js')])
  const client = createS3Client({ endpoint, region })
  const urls = urlSecret === undefined ? refusingSigner : createUrlSigner({ publicUrl, key: urlSecret })
  return { urls, store: createS3Store({ client, bucket, kmsKeyId, urls }) }
}

const refusingSigner: UrlSigner = {
  signGet: () => refuse(),
  signPut: () => refuse(),
  verify: () => null,
}

function refuse(): never {
  throw new Error('this part of the platform has no key to sign object URLs with')
}
