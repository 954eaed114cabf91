import {
  incidents,
  incidentStates,
  incidentSteps,
  type IncidentState,
  newId,
  type NoticeKind,
  type Transaction,
  withIncidents,
} from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'
import type { Deps } from '../context.js'
import { Problem } from '../problems.js'
import type { LoadedIncident } from './present-incident.js'
import { loadIncident, lockIncident } from './queries.js'

const CONFIDENTIAL = ['source', 'build_secret', 'store_credential']

export type MoveIncident = { incidentId: string; state: IncidentState; evidence: string }

/** One state on, with what shows that the one before is done. No state is skipped and none comes again. */
export async function moveIncident(deps: Deps, operatorId: string, input: MoveIncident): Promise<LoadedIncident> {
  const { incidentId, state, evidence } = input
  return withIncidents(deps.db, async (tx) => {
    const incident = await lockIncident(tx, incidentId)
    const before = incidentStates[incidentStates.indexOf(state) - 1]
    if (before === undefined || incident.state !== before) {
      throw new Problem('incident-transition-refused', `An incident in "${incident.state}" cannot become "${state}".`)
    }
    if (state === 'closed') await requireNotices(tx, incidentId)
    await tx
      .update(incidents)
      .set({ state, closedAt: state === 'closed' ? deps.now() : null })
      .where(and(eq(incidents.id, incidentId), eq(incidents.state, before)))
    await tx.insert(incidentSteps).values({ id: newId(), incidentId, state, evidence, operatorId })
    return loadIncident(tx, incidentId)
  })
}

/** Each organization that it concerns was told, of confidential material apart from personal data. */
async function requireNotices(tx: Transaction, incidentId: string): Promise<void> {
  const { incident, organizations } = await loadIncident(tx, incidentId)
  if (!incident.assessedAt) {
    throw new Problem('incident-notice-missing', 'It was never computed whom this concerns: POST …/assessment first.')
  }
  const needed: NoticeKind[] = []
  if (incident.classes.includes('personal_data')) needed.push('personal_data')
  if (incident.classes.some((one) => CONFIDENTIAL.includes(one))) needed.push('confidential_material')
  for (const kind of needed) {
    const untold = organizations.filter(({ notices }) => !notices.includes(kind))
    if (untold.length > 0) {
      const names = untold.map(({ organizationId }) => organizationId).join(', ')
      throw new Problem('incident-notice-missing', `A notice of kind "${kind}" is missing for: ${names}.`)
    }
  }
}
