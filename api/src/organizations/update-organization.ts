import { organizations, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'

export type UpdateOrganization = { name?: string | undefined; webCertificatesAllowed?: boolean | undefined }

/** Renames an organization, or says whether it lets Capstan hold keys that sign web builds. */
export async function updateOrganization(ctx: Context, input: UpdateOrganization) {
  requireScope(ctx, 'organizations:write')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const [before] = await tx.select().from(organizations).where(eq(organizations.id, ctx.orgId)).for('update')
    if (!before) throw new Problem('not-found')
    const { name = before.name, webCertificatesAllowed = before.webCertificatesAllowed } = input
    const changes = {
      ...(name === before.name ? {} : { name: { from: before.name, to: name } }),
      ...(webCertificatesAllowed === before.webCertificatesAllowed
        ? {}
        : { webCertificatesAllowed: { from: before.webCertificatesAllowed, to: webCertificatesAllowed } }),
    }
    if (Object.keys(changes).length === 0) return before
    const [after] = await tx
      .update(organizations)
      .set({ name, webCertificatesAllowed, updatedAt: ctx.now() })
      .where(eq(organizations.id, ctx.orgId))
      .returning()
    if (!after) throw new Problem('not-found')
    await recordAudit(tx, ctx, {
      action: 'organization.updated',
      target: { organization: ctx.orgId },
      data: changes,
    })
    return after
  })
}
