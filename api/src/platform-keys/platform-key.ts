import { createPublicKey } from 'node:crypto'
import { importPlatformKey } from '@capstan/sdk/release'

export type PlatformKey = { keyId: string; pem: string }

/** The public half of the key that signs channel statements; null when none is configured. */
export async function platformKeyOf(privatePem: string | null): Promise<PlatformKey | null> {
  if (privatePem === null) return null
  const pem = createPublicKey(privatePem).export({ type: 'spki', format: 'pem' }).toString()
  return { keyId: (await importPlatformKey(pem)).keyId, pem }
}
