import {
  alsoIncidents,
  incidentOrganizations,
  incidents,
  incidentSteps,
  newId,
  type Transaction,
} from '@capstan/migrations'
import { type Auditor, recordAudit } from '../audit/record-audit.js'

type Found = {
  title: string
  evidence: string
  /** Ids in the organization's own event. */
  target: Record<string, string>
}

/**
 * Inside `withOrg`: begins an incident that concerns this organization alone, because something in it went against its own
 * rules. Operators see it among the others, the organization in its log.
 */
export async function openForOrganization(
  tx: Transaction,
  by: Auditor & { now: () => Date },
  { title, evidence, target }: Found,
): Promise<void> {
  await alsoIncidents(tx)
  const [id, now, classes] = [newId(), by.now(), ['other' as const]]
  await tx.insert(incidents).values({ id, title, classes, awareAt: now, assessedAt: now, createdBy: null })
  await tx.insert(incidentSteps).values({ id: newId(), incidentId: id, state: 'detect', evidence, operatorId: null })
  await tx.insert(incidentOrganizations).values({ orgId: by.orgId, incidentId: id, events: 1 })
  const affected = { action: 'incident.affected', target: { incident: id, ...target }, data: { classes, events: 1 } }
  await recordAudit(tx, by, affected)
}
