import type { CredentialKind } from '@capstan/migrations'

/** What is asked about a file. Travels to the child over its standard input, never in arguments or environment. */
export type FileQuestion = QuestionHead & { bytes: Uint8Array }

export type QuestionHead = {
  kind: CredentialKind | 'apple.provisioning-profile'
  password?: string
  keyAlias?: string
  keyPassword?: string
  /** SHA-256 of the root certificates to which a profile's signature must lead. */
  appleRoots?: readonly string[]
}

/** One line of JSON, then the file as it is: to write a megabyte as text would stop every other request for milliseconds. */
export function encodeQuestion({ bytes, ...head }: FileQuestion): Buffer {
  return Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`, 'utf8'), bytes])
}

export function decodeQuestion(question: Buffer): { head: QuestionHead; bytes: Buffer } {
  const end = question.indexOf(10)
  return { head: JSON.parse(question.toString('utf8', 0, end)) as QuestionHead, bytes: question.subarray(end + 1) }
}
