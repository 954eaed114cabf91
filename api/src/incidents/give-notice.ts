import { alsoOrg, incidentNotices, type NoticeKind, newId, withIncidents } from '@capstan/migrations'
import { recordAudit } from '../audit/record-audit.js'
import type { Deps } from '../context.js'
import { incidentLetter } from '../mails/letters.js'
import { mailToRoles } from '../mails/mail-to.js'
import { Problem } from '../problems.js'
import type { LoadedIncident } from './present-incident.js'
import { findAffected, loadIncident, lockIncident } from './queries.js'

export type GiveNotice = { incidentId: string; kind: NoticeKind; message: string }

/** One notice for each organization that is concerned, which reads it through the API; that it is there is mailed to its owners and administrators. */
export async function giveNotice(
  deps: Deps,
  by: { operatorId: string; requestId: string },
  { incidentId, kind, message }: GiveNotice,
): Promise<LoadedIncident> {
  return withIncidents(deps.db, async (tx) => {
    await lockIncident(tx, incidentId)
    const affected = await findAffected(tx, incidentId)
    if (affected.length === 0) {
      throw new Problem('incident-notice-missing', 'Nobody is concerned as far as is known: POST …/assessment first.')
    }
    for (const { orgId } of affected) {
      await alsoOrg(tx, orgId)
      const id = newId()
      await tx.insert(incidentNotices).values({ id, orgId, incidentId, kind, message, createdAt: deps.now() })
      const words = incidentLetter(deps.publicUrl, { organizationId: orgId })
      await mailToRoles(tx, deps, { ...words, kind: 'incident.notified', orgId, roles: ['owner', 'admin'] })
      const auditor = { orgId, actor: { type: 'operator', id: by.operatorId } as const, requestId: by.requestId }
      const target = { incident: incidentId, notice: id }
      await recordAudit(tx, auditor, { action: 'incident.notified', target, data: { kind } })
    }
    return loadIncident(tx, incidentId)
  })
}
