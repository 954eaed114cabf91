import { auditEvents, personalValues, withOrg } from '@capstan/migrations'
import { and, eq, inArray, type SQL, sql } from 'drizzle-orm'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { eventsWith } from './find-audit-events.js'
import { recordAudit } from './record-audit.js'

export type EraseValues = {
  /** Id of who acted. */
  actor?: string | undefined
  /** Any id that an event names as acted on. */
  target?: string | undefined
  /** What a value contains. */
  text?: string | undefined
}

/** Values go for good, the events and their commitments stay. What is asked for must fit in everything that is named. */
export async function eraseValues(
  ctx: Context,
  { actor, target, text }: EraseValues,
): Promise<{ values: number; events: number }> {
  requireScope(ctx, 'audit:erase')
  if (actor === undefined && target === undefined && text === undefined) {
    throw new Problem('request-invalid', 'Name an "actor", a "target" or a "text" whose values are to be erased.')
  }
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const ofEvents = tx
      .select({ seq: auditEvents.seq })
      .from(auditEvents)
      .where(eventsWith(ctx.orgId, { actor, target }))
    const erased = await tx
      .delete(personalValues)
      .where(
        and(
          eq(personalValues.orgId, ctx.orgId),
          actor === undefined && target === undefined ? undefined : inArray(personalValues.seq, ofEvents),
          text === undefined ? undefined : contains(text),
        ),
      )
      .returning({ seq: personalValues.seq })
    const values = erased.length
    const events = new Set(erased.map(({ seq }) => seq)).size
    if (values === 0) return { values, events }
    // Ids stand in the chain already; the text is what was to go, so it is not written down.
    await recordAudit(tx, ctx, {
      action: 'audit.values_erased',
      target: { organization: ctx.orgId },
      data: { actor: actor ?? null, target: target ?? null, byText: text !== undefined, values, events },
    })
    return { values, events }
  })
}

/** As it stands inside canonical JSON. */
function contains(text: string): SQL {
  const written = JSON.stringify(text.toWellFormed().normalize('NFC')).slice(1, -1)
  return sql`${personalValues.value} ilike ${`%${written.replaceAll(/[\\%_]/g, String.raw`\$&`)}%`}`
}
