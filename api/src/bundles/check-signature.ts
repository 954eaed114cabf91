import { decodeBase64, ReleaseError, type TrustedKey, verifySignature } from '@capstan/sdk/release'
import { Problem } from '../problems.js'

/** Refuses a text that no device would take for a signature: empty, "null", not strict base64. */
export function checkSignatureText(signature: string): void {
  if ((decodeBase64(signature)?.length ?? 0) < 128) {
    throw new Problem(
      'bundle-signature-invalid',
      'signature: send the RSA signature of the file as standard base64 on one line, or leave the field away.',
    )
  }
}

/** Checks bytes at the door against the keys of the app; an app without keys leaves this to its devices. */
export async function checkSignature(keys: readonly TrustedKey[], bytes: Uint8Array, signature: string): Promise<void> {
  checkSignatureText(signature)
  if (keys.length === 0) return
  if (!(await isSigned(keys, bytes, signature))) {
    throw new Problem(
      'bundle-signature-invalid',
      'The signature was not made by a public key of this app over these bytes. Sign with the registered key, or register yours.',
    )
  }
}

export async function isSigned(keys: readonly TrustedKey[], bytes: Uint8Array, signature: string): Promise<boolean> {
  try {
    await verifySignature(keys, bytes, signature)
    return true
  } catch (error) {
    if (error instanceof ReleaseError) return false
    throw error
  }
}
