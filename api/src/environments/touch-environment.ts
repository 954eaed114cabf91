import { environments, type Transaction } from '@capstan/migrations'
import { eq, sql } from 'drizzle-orm'
import type { Context } from '../context.js'

/** Notes who changed an environment last. */
export async function touchEnvironment(tx: Transaction, ctx: Context, environmentId: string): Promise<void> {
  await tx
    .update(environments)
    .set({ updatedBy: ctx.actor.id, updatedAt: sql`now()` })
    .where(eq(environments.id, environmentId))
}
