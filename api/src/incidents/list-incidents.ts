import { incidents, type IncidentState, withIncidents } from '@capstan/migrations'
import { desc, eq } from 'drizzle-orm'
import type { Deps } from '../context.js'

export type ListIncidents = { state?: IncidentState | undefined; limit: number; offset: number }

/** Newest first: those that operators opened, and those that began by themselves. */
export async function listIncidents(deps: Deps, { state, limit, offset }: ListIncidents) {
  return withIncidents(deps.db, (tx) =>
    tx
      .select()
      .from(incidents)
      .where(state ? eq(incidents.state, state) : undefined)
      .orderBy(desc(incidents.createdAt), desc(incidents.id))
      .limit(limit)
      .offset(offset),
  )
}
