import { newId, operators, withLookup } from '@capstan/migrations'
import { createToken, hashToken } from '../src/auth/tokens.js'
import type { Fixture } from './fixture.js'

/** Somebody who runs the installation, as `provision.ts` sets one up. */
export async function createOperator({ deps }: Fixture, name = 'Support'): Promise<{ id: string; token: string }> {
  const [id, token] = [newId(), createToken('co')]
  const tokenHash = hashToken(deps.pepper, token)
  await withLookup(deps.db, tokenHash, (tx) => tx.insert(operators).values({ id, name, tokenHash }))
  return { id, token }
}
