import { incidentNotices, incidentOrganizations, incidents, incidentSteps, type Transaction } from '@capstan/migrations'
import { asc, eq } from 'drizzle-orm'
import { Problem } from '../problems.js'
import type { LoadedIncident } from './present-incident.js'

export async function lockIncident(tx: Transaction, incidentId: string): Promise<typeof incidents.$inferSelect> {
  const [incident] = await tx.select().from(incidents).where(eq(incidents.id, incidentId)).for('update')
  if (!incident) throw new Problem('not-found')
  return incident
}

/** The organizations that an incident concerns, in the order in which their logs are locked. */
export function findAffected(tx: Transaction, incidentId: string) {
  return tx
    .select()
    .from(incidentOrganizations)
    .where(eq(incidentOrganizations.incidentId, incidentId))
    .orderBy(asc(incidentOrganizations.orgId))
}

export async function loadIncident(tx: Transaction, incidentId: string): Promise<LoadedIncident> {
  const [incident] = await tx.select().from(incidents).where(eq(incidents.id, incidentId))
  if (!incident) throw new Problem('not-found')
  const steps = await tx
    .select()
    .from(incidentSteps)
    .where(eq(incidentSteps.incidentId, incidentId))
    .orderBy(asc(incidentSteps.createdAt), asc(incidentSteps.id))
  const notices = await tx.select().from(incidentNotices).where(eq(incidentNotices.incidentId, incidentId))
  const affected = await findAffected(tx, incidentId)
  const organizations = affected.map(({ orgId, events }) => ({
    organizationId: orgId,
    events,
    notices: notices.filter((notice) => notice.orgId === orgId).map(({ kind }) => kind),
  }))
  return { incident, steps, organizations }
}
