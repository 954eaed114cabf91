import { operators, withLookup } from '@capstan/migrations'
import { and, eq, isNull } from 'drizzle-orm'
import type { Deps } from '../context.js'
import { Problem } from '../problems.js'
import { bearerOf } from './authenticate.js'
import { hashToken, kindOf } from './tokens.js'

export type OperatorIdentity = { operatorId: string; name: string }

/** Somebody who runs the installation, by a `co_` token; by itself it opens nothing of any organization. */
export async function requireOperator(deps: Deps, authorization: string | undefined): Promise<OperatorIdentity> {
  const token = bearerOf(authorization)
  if (kindOf(token) !== 'co') throw new Problem('token-invalid')
  const tokenHash = hashToken(deps.pepper, token)
  const [row] = await withLookup(deps.db, tokenHash, (tx) =>
    tx
      .update(operators)
      .set({ lastSeenAt: deps.now() })
      .where(and(eq(operators.tokenHash, tokenHash), isNull(operators.revokedAt)))
      .returning({ operatorId: operators.id, name: operators.name }),
  )
  if (!row) throw new Problem('token-invalid')
  return row
}
