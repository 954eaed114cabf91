import { readFileSync } from 'node:fs'

import type { Verdict } from './credential-facts.js'
import { CredentialRefusal } from './credential-refusal.js'
import { decodeQuestion } from './file-question.js'
import { inspectFile } from './inspect-file.js'

/**
 * Entry of the short-lived process that reads one uploaded file: question on standard input, verdict on standard output.
 * The file is hostile until proven otherwise, so this runs with little memory, for seconds, with an empty environment,
 * and loads little: a bomb is refused in a fraction of the time that a large library takes to start.
 */
function judge(): Verdict {
  try {
    const { head, bytes } = decodeQuestion(readFileSync(0))
    return { ok: true, result: inspectFile(head, bytes, new Date()) }
  } catch (error) {
    if (error instanceof CredentialRefusal) return { ok: false, code: error.code, message: error.message }
    return {
      ok: false,
      code: 'keystore-damaged',
      message: 'The file is damaged. Upload it again from the original.',
    }
  }
}

process.stdout.write(JSON.stringify(judge()))
