import { organizations, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'

import type { Context } from '../context.js'
import { Problem } from '../problems.js'

/** The key that signs live updates belongs in its owner's hands; an organization says so when it wants it otherwise. */
export async function requireWebCertificates({ db, orgId }: Context): Promise<void> {
  const [organization] = await withOrg(db, orgId, (tx) =>
    tx.select({ allowed: organizations.webCertificatesAllowed }).from(organizations).where(eq(organizations.id, orgId)),
  )
  if (organization?.allowed) return
  throw new Problem(
    'web-certificates-not-allowed',
    'The private key stays with you: sign live updates where you build them. If Capstan is to sign web builds with it, an owner sets "webCertificatesAllowed" of the organization first.',
  )
}
