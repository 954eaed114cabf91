import { deletionCertificates, withLookup } from '@capstan/migrations'
import { eq } from 'drizzle-orm'

import type { Deps } from '../context.js'
import { Problem } from '../problems.js'

/**
 * The signed envelope, for whoever was given its id: when an organization has ended nobody can sign in to it any more,
 * and what the certificate says (ids, fingerprints, times) is made to be shown to others.
 */
export async function getDeletionCertificate(deps: Deps, id: string): Promise<Record<string, unknown>> {
  const [found] = await withLookup(deps.db, id, (tx) =>
    tx
      .select({ document: deletionCertificates.document })
      .from(deletionCertificates)
      .where(eq(deletionCertificates.id, id)),
  )
  if (found === undefined) throw new Problem('not-found', 'There is no such deletion certificate.')
  return found.document
}
