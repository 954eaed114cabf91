import {
  incidentClasses,
  type incidentNotices,
  type incidents,
  incidentStates,
  type incidentSteps,
  noticeKinds,
} from '@capstan/migrations'
import { z } from '@hono/zod-openapi'
import { Id, Timestamp } from '../define-route.js'

const DEADLINE_MS = 48 * 60 * 60_000

/** Until when organizations have to be told of a breach of personal data. */
const deadlineOf = (awareAt: Date) => new Date(awareAt.getTime() + DEADLINE_MS)

export type LoadedIncident = {
  incident: typeof incidents.$inferSelect
  steps: (typeof incidentSteps.$inferSelect)[]
  organizations: { organizationId: string; events: number; notices: string[] }[]
}

export const Incident = z
  .object({
    id: Id,
    title: z.string(),
    classes: z.array(z.enum(incidentClasses)),
    state: z.enum(incidentStates),
    awareAt: Timestamp,
    deadlineAt: Timestamp.nullable(),
    closedAt: Timestamp.nullable(),
    /** Null: it began by itself. */
    createdBy: Id.nullable(),
    steps: z.array(
      z.object({ state: z.enum(incidentStates), evidence: z.string(), operatorId: Id.nullable(), at: Timestamp }),
    ),
    organizations: z.array(
      z.object({ organizationId: Id, events: z.number().int(), notices: z.array(z.enum(noticeKinds)) }),
    ),
  })
  .openapi('Incident')

export const IncidentSummary = Incident.omit({ steps: true, organizations: true }).openapi('IncidentSummary')

export const IncidentNotice = z
  .object({ id: Id, incidentId: Id, kind: z.enum(noticeKinds), message: z.string(), createdAt: Timestamp })
  .openapi('IncidentNotice')

export function presentSummary(incident: LoadedIncident['incident']): z.infer<typeof IncidentSummary> {
  const isTimed = incident.classes.includes('personal_data')
  return {
    id: incident.id,
    title: incident.title,
    classes: incident.classes,
    state: incident.state,
    awareAt: incident.awareAt.toISOString(),
    deadlineAt: isTimed ? deadlineOf(incident.awareAt).toISOString() : null,
    closedAt: incident.closedAt?.toISOString() ?? null,
    createdBy: incident.createdBy,
  }
}

export function presentIncident({ incident, steps, organizations }: LoadedIncident): z.infer<typeof Incident> {
  return {
    ...presentSummary(incident),
    steps: steps.map(({ state, evidence, operatorId, createdAt }) => ({
      state,
      evidence,
      operatorId,
      at: createdAt.toISOString(),
    })),
    organizations: organizations.map(({ notices, ...rest }) => ({
      ...rest,
      notices: noticeKinds.filter((kind) => notices.includes(kind)),
    })),
  }
}

export function presentNotice(notice: typeof incidentNotices.$inferSelect): z.infer<typeof IncidentNotice> {
  const { id, incidentId, kind, message, createdAt } = notice
  return { id, incidentId, kind, message, createdAt: createdAt.toISOString() }
}
