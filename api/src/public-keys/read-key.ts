import { importReleaseKey, type KeyAlgorithm, readReleasePublicKey, ReleaseError } from '@capstan/sdk/release'
import { Problem } from '../problems.js'

/** `compat`: what the official plugins verify. `release`: our own client. */
export type Profile = 'compat' | 'release'

export type ReleaseKey = { pem: string; fingerprint: string; bits: number; algorithm: KeyAlgorithm }

/** The key under the policy that devices apply, written in one form whatever line breaks it came with. */
export async function readKey(text: string): Promise<ReleaseKey> {
  try {
    const { spki, bits, algorithm } = readReleasePublicKey(text)
    const lines =
      Buffer.from(spki)
        .toString('base64')
        .match(/.{1,64}/g) ?? []
    const pem = `-----BEGIN PUBLIC KEY-----\n${lines.join('\n')}\n-----END PUBLIC KEY-----\n`
    return { pem, fingerprint: (await importReleaseKey(pem)).keyId, bits, algorithm }
  } catch (error) {
    if (error instanceof ReleaseError) throw new Problem('public-key-invalid', `${error.message} (${error.code})`)
    throw error
  }
}

/** The official plugins know RSASSA-PKCS1-v1_5 of 2048, 3072 and 4096 bits and nothing else. */
export function profilesOf({ algorithm, bits }: Pick<ReleaseKey, 'algorithm' | 'bits'>): Profile[] {
  const official = algorithm === 'RSASSA-PKCS1-v1_5' && [2048, 3072, 4096].includes(bits)
  return official ? ['compat', 'release'] : ['release']
}
