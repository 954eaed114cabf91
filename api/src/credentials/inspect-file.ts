import type { CredentialFacts, NormalizedKey, ProfileFacts } from './credential-facts.js'
import type { QuestionHead } from './file-question.js'
import { inspectAppleIdentity } from './inspect-apple-identity.js'
import { inspectApplePrivateKey, inspectWebSigningKey } from './inspect-private-key.js'
import { inspectKeystore } from './inspect-keystore.js'
import { inspectProfile } from './inspect-profile.js'
import { inspectServiceAccount } from './inspect-service-account.js'

export type InspectedCredential = { facts: CredentialFacts; key: NormalizedKey }

/** Reads a file as its kind asks. Throws `CredentialRefusal`. */
export function inspectFile(question: QuestionHead, bytes: Buffer, now: Date): InspectedCredential | ProfileFacts {
  switch (question.kind) {
    case 'android.keystore':
      return inspectKeystore(bytes, question, now)
    case 'apple.identity':
      return inspectAppleIdentity(bytes, question.password ?? '', now)
    case 'apple.app-store-connect-key':
    case 'apple.push-key':
      return inspectApplePrivateKey(bytes)
    case 'google.service-account':
      return inspectServiceAccount(bytes)
    case 'web.signing-key':
      return inspectWebSigningKey(bytes, question.password)
    default:
      return inspectProfile(bytes, question.appleRoots ?? [], now)
  }
}
