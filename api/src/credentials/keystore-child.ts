import { readFileSync } from 'node:fs'

import { inspectKeystore } from './inspect-keystore.js'
import { KeystoreQuestion, KeystoreRefusal, type KeystoreVerdict } from './keystore-verdict.js'

/**
 * Entry of the short-lived process that opens one keystore: question on standard input, verdict on standard output. The
 * file is hostile until proven otherwise, so this runs with little memory, for seconds, with an empty environment.
 */
function judge(): KeystoreVerdict {
  try {
    const question = KeystoreQuestion.parse(JSON.parse(readFileSync(0, 'utf8')))
    return { ok: true, facts: inspectKeystore(question, new Date()) }
  } catch (error) {
    if (error instanceof KeystoreRefusal) return { ok: false, code: error.code, message: error.message }
    return {
      ok: false,
      code: 'keystore-damaged',
      message: 'The keystore is damaged. Upload it again from the original file.',
    }
  }
}

process.stdout.write(JSON.stringify(judge()))
