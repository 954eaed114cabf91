import { fileURLToPath } from 'node:url'

import { limitWork } from '../limit-work.js'
import { Verdict } from './credential-facts.js'
import { CredentialRefusal } from './credential-refusal.js'
import type { FileQuestion } from './file-question.js'
import { Launcher } from './launch.js'

// The compiled file, also when this one runs from source in a test.
const CHILD = fileURLToPath(new URL('../../dist/credentials/file-child.js', import.meta.url))
const launcher = new Launcher(CHILD)
/** Few at a time: a file may cost a whole processor for seconds. Those that wait are in memory. */
const inTurn = limitWork({ atOnce: 2, waiting: 100 })

/** Reads an uploaded file in a child process of its own and answers what it found; throws `CredentialRefusal`. */
export function checkFile(question: FileQuestion, asked = launcher): Promise<unknown> {
  return inTurn(async () => {
    const verdict = readVerdict(await asked.ask(Buffer.from(JSON.stringify(question), 'utf8')))
    if (verdict.ok) return verdict.result
    throw new CredentialRefusal(verdict.code, verdict.message)
  })
}

function readVerdict(answer: Buffer | null): Verdict {
  if (answer !== null) return Verdict.parse(JSON.parse(answer.toString('utf8')))
  return {
    ok: false,
    code: 'keystore-too-costly',
    message: 'Opening the file took too much time or memory. Export it again with default settings.',
  }
}
