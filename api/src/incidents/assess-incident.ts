import {
  alsoOrg,
  auditEvents,
  incidentOrganizations,
  incidents,
  type Transaction,
  withIncidents,
} from '@capstan/migrations'
import { and, asc, count, eq, gte, lt, sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import type { Deps } from '../context.js'
import { Problem } from '../problems.js'
import type { LoadedIncident } from './present-incident.js'
import { loadIncident, lockIncident } from './queries.js'

export type AssessIncident = {
  incidentId: string
  from: string
  to: string
  action?: string | undefined
  actor?: string | undefined
  target?: string | undefined
}

/**
 * Computes whom an incident concerns: every organization whose log has an event of that time by that actor, of that action, on
 * that target. Once concerned an organization stays so; each learns it by an event of its own.
 */
export async function assessIncident(
  deps: Deps,
  by: { operatorId: string; requestId: string },
  input: AssessIncident,
): Promise<LoadedIncident> {
  if (!input.action && !input.actor && !input.target) {
    throw new Problem('request-invalid', 'Name an action, an actor or a target: time alone would concern everybody.')
  }
  return withIncidents(deps.db, async (tx) => {
    const incident = await lockIncident(tx, input.incidentId)
    if (incident.state === 'closed') throw new Problem('incident-transition-refused', 'The incident is closed.')
    for (const { orgId, events } of await countEvents(tx, input)) {
      const [added] = await tx
        .insert(incidentOrganizations)
        .values({ orgId, incidentId: incident.id, events })
        .onConflictDoUpdate({
          target: [incidentOrganizations.orgId, incidentOrganizations.incidentId],
          set: { events: sql`greatest(incident_organizations.events, excluded.events)` },
        })
        .returning({ isNew: sql<boolean>`xmax = 0` })
      if (!added?.isNew) continue
      await alsoOrg(tx, orgId)
      const auditor = { orgId, actor: { type: 'operator', id: by.operatorId } as const, requestId: by.requestId }
      const data = { classes: incident.classes, events }
      await recordAudit(tx, auditor, { action: 'incident.affected', target: { incident: incident.id }, data })
    }
    await tx.update(incidents).set({ assessedAt: deps.now() }).where(eq(incidents.id, incident.id))
    return loadIncident(tx, incident.id)
  })
}

function countEvents(tx: Transaction, { from, to, action, actor, target }: AssessIncident) {
  const named = JSON.stringify([target])
  return tx
    .select({ orgId: auditEvents.orgId, events: count() })
    .from(auditEvents)
    .where(
      and(
        gte(auditEvents.createdAt, new Date(from)),
        lt(auditEvents.createdAt, new Date(to)),
        action === undefined ? undefined : eq(auditEvents.action, action),
        actor === undefined ? undefined : sql`${auditEvents.event}::jsonb #>> '{actor,id}' = ${actor}`,
        target === undefined
          ? undefined
          : sql`jsonb_path_query_array(${auditEvents.event}::jsonb -> 'target', '$.*') @> ${named}::jsonb`,
      ),
    )
    .groupBy(auditEvents.orgId)
    .orderBy(asc(auditEvents.orgId))
}
