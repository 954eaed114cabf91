import { incidents, incidentSteps, type IncidentClass, newId, withIncidents } from '@capstan/migrations'
import type { Deps } from '../context.js'
import { Problem } from '../problems.js'
import type { LoadedIncident } from './present-incident.js'
import { loadIncident } from './queries.js'

export type OpenIncident = { title: string; classes: IncidentClass[]; awareAt: string; evidence: string }

/** The clock runs from when somebody knew, not from when it was written down. */
export async function openIncident(deps: Deps, operatorId: string, input: OpenIncident): Promise<LoadedIncident> {
  const awareAt = new Date(input.awareAt)
  if (awareAt > deps.now()) throw new Problem('request-invalid', 'awareAt lies in the future.')
  return withIncidents(deps.db, async (tx) => {
    const id = newId()
    const classes = [...new Set(input.classes)]
    await tx.insert(incidents).values({ id, title: input.title, classes, awareAt, createdBy: operatorId })
    const step = { id: newId(), incidentId: id, state: 'detect' as const, evidence: input.evidence, operatorId }
    await tx.insert(incidentSteps).values(step)
    return loadIncident(tx, id)
  })
}
