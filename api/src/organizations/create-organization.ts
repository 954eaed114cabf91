import { memberships, newId, organizations, withOrg } from '@capstan/migrations'
import { recordAudit } from '../audit/record-audit.js'
import type { Deps } from '../context.js'

export type CreateOrganization = { name: string; ownerId: string; requestId: string }

/** A new organization with its first owner. */
export async function createOrganization(deps: Deps, input: CreateOrganization) {
  const id = newId()
  return withOrg(deps.db, id, async (tx) => {
    const [organization] = await tx.insert(organizations).values({ id, name: input.name }).returning()
    if (!organization) throw new Error('The organization was not inserted.')
    await tx.insert(memberships).values({ orgId: id, userId: input.ownerId, role: 'owner' })
    await recordAudit(
      tx,
      { orgId: id, actor: { type: 'user', id: input.ownerId }, requestId: input.requestId },
      { action: 'organization.created', target: { organization: id } },
    )
    return organization
  })
}
