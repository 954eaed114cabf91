import { passkeys, type Transaction, userTotp } from '@capstan/migrations'
import { and, eq, isNotNull } from 'drizzle-orm'

export type Factors = { totp: boolean; passkeys: number }

/** The second factors that a person has set up. */
export async function findFactors(tx: Transaction, userId: string): Promise<Factors> {
  const [totp] = await tx
    .select({ userId: userTotp.userId })
    .from(userTotp)
    .where(and(eq(userTotp.userId, userId), isNotNull(userTotp.confirmedAt)))
  return { totp: totp !== undefined, passkeys: await tx.$count(passkeys, eq(passkeys.userId, userId)) }
}

export const hasFactor = (factors: Factors): boolean => factors.totp || factors.passkeys > 0
