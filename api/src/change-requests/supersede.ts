import { changeRequests, type Transaction } from '@capstan/migrations'
import { and, eq, inArray, isNotNull, isNull, ne, or } from 'drizzle-orm'
import { type By, doneStates, moveRequest } from './queries.js'

type Successor = {
  entities: readonly string[]
  /** The request that takes their place; null: a change that needed none. */
  by: string | null
}

/** Earlier records of these entities count no more: the newest says what a reading must find. */
export async function supersede(tx: Transaction, by: By, successor: Successor): Promise<void> {
  await markSuperseded(tx, by, successor)
  await closeSuperseded(tx, by, successor.entities)
}

/**
 * The same for what was done at once: until somebody has approved that, the earlier records stay open, and so does a
 * mismatch that one of them has found.
 */
export async function markSuperseded(tx: Transaction, by: By, { entities, by: id }: Successor): Promise<void> {
  if (entities.length === 0) return
  await tx
    .update(changeRequests)
    .set({ supersededAt: by.now(), updatedAt: by.now() })
    .where(
      and(
        inArray(changeRequests.entity, [...entities]),
        isNull(changeRequests.supersededAt),
        inArray(changeRequests.state, [...doneStates]),
        id === null ? undefined : ne(changeRequests.id, id),
      ),
    )
}

/** Closes what is superseded, but for what waits for its approval afterwards. */
export async function closeSuperseded(tx: Transaction, by: By, entities: readonly string[]): Promise<void> {
  if (entities.length === 0) return
  const replaced = await tx
    .select()
    .from(changeRequests)
    .where(
      and(
        inArray(changeRequests.entity, [...entities]),
        isNotNull(changeRequests.supersededAt),
        inArray(changeRequests.state, [...doneStates]),
        or(eq(changeRequests.retroactive, false), isNotNull(changeRequests.approvedAt)),
      ),
    )
    .orderBy(changeRequests.id)
    .for('no key update')
  for (const request of replaced) {
    await moveRequest(tx, by, request, {
      to: 'closed',
      step: { step: 'closed', reason: 'A later change replaced it.' },
    })
  }
}

/** Everything that records of an app are about; nothing of it is there once the app is deleted. */
export async function entitiesOfApp(tx: Transaction, appId: string): Promise<string[]> {
  const rows = await tx
    .select({ entity: changeRequests.entity })
    .from(changeRequests)
    .where(and(eq(changeRequests.appId, appId), inArray(changeRequests.state, [...doneStates])))
  return rows.flatMap(({ entity }) => (entity === null ? [] : [entity]))
}
