import { z } from 'zod'

import { Problem } from '../problems.js'
import { checkFile } from './check-file.js'
import { CredentialFacts, NormalizedKey } from './credential-facts.js'
import { CredentialRefusal } from './credential-refusal.js'
import type { FileQuestion } from './file-question.js'

const CheckedCredential = z.object({ facts: CredentialFacts, key: NormalizedKey })

/** Opens a credential's file in the bounded child and answers its facts and key; a refusal is a `Problem`. */
export async function checkCredential(org: string, question: FileQuestion): Promise<z.infer<typeof CheckedCredential>> {
  try {
    return await checkFile({ org, question, Result: CheckedCredential })
  } catch (error) {
    throw error instanceof CredentialRefusal ? new Problem(error.code, error.message) : error
  }
}
