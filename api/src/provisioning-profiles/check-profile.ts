import { checkFile } from '../credentials/check-file.js'
import { ProfileFacts } from '../credentials/credential-facts.js'
import { CredentialRefusal } from '../credentials/credential-refusal.js'
import { Problem } from '../problems.js'

/** Verifies and reads a provisioning profile in the bounded child; a refusal is a `Problem`. */
export async function checkProfile(
  org: string,
  bytes: Uint8Array,
  appleRoots: readonly string[],
): Promise<ProfileFacts> {
  try {
    const question = { kind: 'apple.provisioning-profile' as const, bytes, appleRoots }
    return await checkFile({ org, question, Result: ProfileFacts })
  } catch (error) {
    throw error instanceof CredentialRefusal ? new Problem(error.code, error.message) : error
  }
}
