import { currentVerifier } from '../verifier/verifier.js'

/** A file of an archive by its content. `sha256` is lower-case hex. */
export interface FileDigest {
  path: string
  sha256: string
  size: number
}

/** SHA-256 as lower-case hex. */
export async function sha256Hex(bytes: Uint8Array): Promise<string> {
  const digest = await currentVerifier().sha256(bytes)
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
