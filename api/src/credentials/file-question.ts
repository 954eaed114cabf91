import type { CredentialKind } from '@capstan/migrations'

/** What is asked about a file. Travels to the child over its standard input, never in arguments or environment. */
export type FileQuestion = {
  kind: CredentialKind | 'apple.provisioning-profile'
  fileB64: string
  password?: string
  keyAlias?: string
  keyPassword?: string
  /** SHA-256 of the root certificates to which a profile's signature must lead. */
  appleRoots?: readonly string[]
}
