import { createHash } from 'node:crypto'
import { changeRequests, type Transaction, type verdicts } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { canonicalData, canonicalJson } from '../audit/canonical-json.js'
import { readContent } from './change.js'
import { observe, type Observed } from './observe.js'
import type { By, ChangeRequest } from './queries.js'

export type Reading = {
  verdict: (typeof verdicts)[number]
  observed: Observed | null
  /** SHA-256 over `"change-evidence-v1\0"` and the canonical JSON of the request's id, its content hash and what was read. */
  evidenceHash: string
}

const DOMAIN = 'change-evidence-v1\0'

/** Compares what there is now with what was approved, and keeps the verdict with a hash of what was read. */
export async function readChange(tx: Transaction, by: By, request: ChangeRequest): Promise<Reading> {
  const found = request.entity === null ? null : await observe(tx, request.entity)
  const observed = found && (canonicalData(found) as Observed)
  const evidence = canonicalJson({ request: request.id, contentHash: request.contentHash, observed })
  const reading = {
    verdict: judge(request, observed),
    observed,
    evidenceHash: createHash('sha256').update(DOMAIN).update(evidence).digest('hex'),
  }
  const { verdict, evidenceHash } = reading
  await tx
    .update(changeRequests)
    .set({ verdict, evidenceHash, readAt: by.now() })
    .where(eq(changeRequests.id, request.id))
  return reading
}

function judge(request: ChangeRequest, observed: Observed | null): Reading['verdict'] {
  if (observed === null) return 'unknown'
  const same = Object.entries(readContent(request.content).effect).every(
    ([name, value]) => name in observed && canonicalJson(observed[name] ?? null) === canonicalJson(value),
  )
  return same ? 'match' : 'mismatch'
}
