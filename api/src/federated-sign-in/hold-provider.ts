import { identityProviders, type Transaction } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { Problem } from '../problems.js'
import type { Provider } from './open-provider.js'

/**
 * In a transaction that shows the provider's organization: it is there until that ends, so that whoever ends the provider
 * finds what it let in. A sign-in takes as long as the provider likes.
 */
export async function holdProvider(tx: Transaction, { id }: Provider): Promise<void> {
  const [held] = await tx
    .select({ id: identityProviders.id })
    .from(identityProviders)
    .where(eq(identityProviders.id, id))
    .for('share')
  if (!held) throw new Problem('sign-in-refused', 'The sign-in was refused: your organization has ended this provider.')
}
