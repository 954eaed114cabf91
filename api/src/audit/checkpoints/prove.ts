import { auditCheckpoints, auditEvents, type Transaction, withOrg } from '@capstan/migrations'
import { and, desc, eq } from 'drizzle-orm'
import { type Context, requireScope } from '../../context.js'
import { Problem } from '../../problems.js'
import { consistencyProof, inclusionProof } from './build-proof.js'
import { readTree } from './read-tree.js'

export type Proof = { size: number; note: string; hashes: string[] }
export type InclusionProof = Proof & { seq: number; event: string }

/** That one event is among those of a checkpoint: the newest one, or the one of `size`. */
export async function proveInclusion(ctx: Context, input: { seq: number; size?: number | undefined }) {
  requireScope(ctx, 'audit:read')
  return withOrg(ctx.db, ctx.orgId, async (tx): Promise<InclusionProof> => {
    const { size, note } = await findCheckpoint(tx, ctx.orgId, input.size)
    if (input.seq > size) {
      throw new Problem(
        'checkpoint-not-found',
        `Event ${input.seq} is not covered by a checkpoint yet; ask again in a few minutes.`,
      )
    }
    const [row] = await tx
      .select({ event: auditEvents.event })
      .from(auditEvents)
      .where(and(eq(auditEvents.orgId, ctx.orgId), eq(auditEvents.seq, input.seq)))
    if (!row) throw new Problem('not-found', `There is no event ${input.seq}.`)
    const tree = await readTree(tx, ctx.orgId, size, [input.seq - 1])
    return { seq: input.seq, event: row.event, size, note, hashes: texts(inclusionProof(tree, input.seq - 1, size)) }
  })
}

/** That a checkpoint that somebody kept is the beginning of a later one: the newest, or the one of `size`. */
export async function proveConsistency(ctx: Context, input: { from: number; size?: number | undefined }) {
  requireScope(ctx, 'audit:read')
  return withOrg(ctx.db, ctx.orgId, async (tx): Promise<Proof & { from: number }> => {
    const { size, note } = await findCheckpoint(tx, ctx.orgId, input.size)
    if (input.from > size) throw new Problem('checkpoint-not-found', `The newest checkpoint covers ${size} events.`)
    const tree = await readTree(tx, ctx.orgId, size, [input.from])
    return { from: input.from, size, note, hashes: texts(consistencyProof(tree, input.from, size)) }
  })
}

async function findCheckpoint(tx: Transaction, orgId: string, size: number | undefined) {
  const [found] = await tx
    .select({ size: auditCheckpoints.size, note: auditCheckpoints.note })
    .from(auditCheckpoints)
    .where(and(eq(auditCheckpoints.orgId, orgId), size === undefined ? undefined : eq(auditCheckpoints.size, size)))
    .orderBy(desc(auditCheckpoints.size))
    .limit(1)
  if (found) return found
  const which = size === undefined ? 'no checkpoint yet' : `no checkpoint of ${size} events`
  throw new Problem('checkpoint-not-found', `There is ${which}; one is signed every 256 events and every five minutes.`)
}

const texts = (hashes: readonly Buffer[]): string[] => hashes.map((hash) => hash.toString('base64'))
