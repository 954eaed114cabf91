import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'

import type { z } from 'zod'

import { Problem } from '../problems.js'
import { Verdict } from './credential-facts.js'
import { CredentialRefusal } from './credential-refusal.js'
import { encodeQuestion, type FileQuestion } from './file-question.js'
import { type Answer, Launcher } from './launch.js'
import { shareTurns } from './share-turns.js'

// The compiled file, also when this one runs from source in a test.
const CHILD = fileURLToPath(new URL('../../dist/credentials/file-child.js', import.meta.url))
const launcher = new Launcher(CHILD)
/** A file may cost a whole processor for seconds: one is left to everything else. Those that wait are in memory. */
const inTurn = shareTurns({ atOnce: Math.max(1, availableParallelism() - 1), waitingOfOne: 60, waiting: 200 })

/** Whose file it is, what is asked about it, and what an answer looks like. */
export type Check<T> = { org: string; question: FileQuestion; Result: z.ZodType<T> }

/** Reads an uploaded file in a child process of its own and answers what it found; throws `CredentialRefusal`. */
export function checkFile<T>({ org, question, Result }: Check<T>, asked = launcher): Promise<T> {
  return inTurn(org, async (others) => {
    const verdict = readVerdict(await asked.ask(encodeQuestion(question), others))
    if (!verdict.ok) throw new CredentialRefusal(verdict.code, verdict.message)
    const result = Result.safeParse(verdict.result)
    if (result.success) return result.data
    throw unreadable()
  })
}

function readVerdict(answer: Answer): Verdict {
  if (answer === 'late') {
    throw new Problem(
      'upload-not-stored',
      'The file could not be read just now, because the server is busy, so nothing was stored. Upload it again in a moment.',
    )
  }
  if (answer === 'ended') {
    throw new CredentialRefusal(
      'keystore-too-costly',
      'Opening the file took too much time or memory. Export it again with default settings.',
    )
  }
  try {
    return Verdict.parse(JSON.parse(answer.toString('utf8')))
  } catch {
    throw unreadable()
  }
}

/** The child says what no file of a tool makes it say, such as a name of sixty thousand letters. */
function unreadable(): CredentialRefusal {
  return new CredentialRefusal(
    'keystore-damaged',
    'The file has names or values that are longer than any real one. Export it again.',
  )
}
