import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'

export interface Vectors {
  numberOfTests: number
  testGroups: {
    keySize: number
    publicKeyDer: string
    tests: { tcId: number; result: 'valid' | 'acceptable' | 'invalid'; flags: string[]; msg: string; sig: string }[]
  }[]
}

const folder = fileURLToPath(new URL('../vectors/wycheproof', import.meta.url))
export const vectorSets = [2048, 3072, 4096].flatMap((bits) => [
  { name: `rsa_signature_${bits}_sha256`, bits, pss: false },
  { name: `rsa_pss_${bits}_sha256_mgf1_32`, bits, pss: true },
])

/** One set of the repository; its bytes are in base64. */
export function readVectors(name: string): Vectors {
  return JSON.parse(gunzipSync(readFileSync(join(folder, `${name}.json.gz`))).toString()) as Vectors
}

const plainIdentifier = Buffer.from('300d06092a864886f70d0101010500', 'hex')
const pssIdentifier = Buffer.from(
  '304106092a864886f70d01010a3034a00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120',
  'hex',
)

/** The vectors give RSA keys without a padding; a pinned key names its own. */
export function pemOf(der: Buffer, pss: boolean): string {
  const bits = der.subarray(der.indexOf(plainIdentifier) + plainIdentifier.length)
  const content = Buffer.concat([pss ? pssIdentifier : plainIdentifier, bits])
  const spki = Buffer.concat([Buffer.from([0x30, 0x82, content.length >> 8, content.length & 255]), content])
  return `-----BEGIN PUBLIC KEY-----\n${spki.toString('base64')}\n-----END PUBLIC KEY-----\n`
}
