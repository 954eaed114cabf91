import {
  alsoOrg,
  incidentOrganizations,
  incidents,
  incidentSteps,
  newId,
  type Transaction,
  withIncidents,
} from '@capstan/migrations'
import { and, asc, eq, isNull, lte, ne, sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import type { ControlDeps } from './control-deps.js'

const HOUR_MS = 60 * 60_000
const WARN_AFTER_MS = 47 * HOUR_MS
const MISSED_AFTER_MS = 48 * HOUR_MS

/**
 * Who was not told of a breach of personal data: a warning an hour before the deadline, and that it was missed. Each once,
 * for each organization, or for the incident where nobody has computed yet whom it concerns.
 */
export async function watchIncidents(deps: ControlDeps): Promise<number> {
  const warned = await note(deps, { after: WARN_AFTER_MS, column: 'warnedAt', action: 'incident.deadline_near' })
  const missed = await note(deps, { after: MISSED_AFTER_MS, column: 'missedAt', action: 'incident.deadline_missed' })
  return warned + missed + (await noteUnassessed(deps))
}

type Mark = { after: number; column: 'warnedAt' | 'missedAt'; action: string }

function note(deps: ControlDeps, { after, column, action }: Mark): Promise<number> {
  const now = deps.now()
  return withIncidents(deps.db, async (tx) => {
    const due = await findUntold(tx, new Date(now.getTime() - after), column)
    for (const { orgId, incidentId } of due) {
      const [marked] = await tx
        .update(incidentOrganizations)
        .set({ [column]: now })
        .where(
          and(
            eq(incidentOrganizations.orgId, orgId),
            eq(incidentOrganizations.incidentId, incidentId),
            isNull(incidentOrganizations[column]),
          ),
        )
        .returning({ orgId: incidentOrganizations.orgId })
      if (!marked) continue
      await alsoOrg(tx, orgId)
      const by = { orgId, actor: { type: 'system', id: 'control' } as const, requestId: newId() }
      await recordAudit(tx, by, { action, target: { incident: incidentId } })
      deps.log.error({ orgId, incidentId, action }, 'an organization has not been told of a breach of personal data')
    }
    return due.length
  })
}

/** There is nobody's log to write it in: it stands in the incident itself. */
async function noteUnassessed(deps: ControlDeps): Promise<number> {
  const now = deps.now()
  const marks = [
    { after: WARN_AFTER_MS, column: 'warnedAt', what: 'The deadline of 48 hours is an hour away' },
    { after: MISSED_AFTER_MS, column: 'missedAt', what: 'The deadline of 48 hours was missed' },
  ] as const
  return withIncidents(deps.db, async (tx) => {
    let noted = 0
    for (const { after, column, what } of marks) {
      const isDue = and(isTimed, isNull(incidents.assessedAt), isNull(incidents[column]))
      const marked = await tx
        .update(incidents)
        .set({ [column]: now })
        .where(and(isDue, lte(incidents.awareAt, new Date(now.getTime() - after))))
        .returning({ incidentId: incidents.id, state: incidents.state })
      for (const { incidentId, state } of marked) {
        const evidence = `${what}, and nobody has computed whom this concerns: POST …/assessment.`
        await tx.insert(incidentSteps).values({ id: newId(), incidentId, state, evidence, operatorId: null })
        deps.log.error({ incidentId, column }, 'of a breach of personal data nobody knows whom it concerns')
      }
      noted += marked.length
    }
    return noted
  })
}

/** A breach of personal data that is not over. */
const isTimed = and(ne(incidents.state, 'closed'), sql`'personal_data' = any (${incidents.classes})`)

function findUntold(tx: Transaction, awareBefore: Date, column: Mark['column']) {
  return tx
    .select({ orgId: incidentOrganizations.orgId, incidentId: incidentOrganizations.incidentId })
    .from(incidentOrganizations)
    .innerJoin(incidents, eq(incidents.id, incidentOrganizations.incidentId))
    .where(
      and(
        isTimed,
        lte(incidents.awareAt, awareBefore),
        isNull(incidentOrganizations[column]),
        sql`not exists (select 1 from incident_notices n where n.org_id = ${incidentOrganizations.orgId}
          and n.incident_id = ${incidentOrganizations.incidentId} and n.kind = 'personal_data')`,
      ),
    )
    .orderBy(asc(incidentOrganizations.orgId))
}
