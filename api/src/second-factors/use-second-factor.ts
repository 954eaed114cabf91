import { userTotp, withUser, type Transaction } from '@capstan/migrations'
import { and, eq, lt } from 'drizzle-orm'
import { openOwn } from '../auth/identity-keys.js'
import { matchTotp } from '../auth/totp.js'
import type { Deps } from '../context.js'
import { Problem } from '../problems.js'
import { createFailureCounter } from '../sessions/count-failures.js'
import { useRecoveryCode } from './recovery-codes.js'

const failures = createFailureCounter()

/** A code of an authenticator app, or one of the recovery codes. */
export type FactorProof = { otp?: string | undefined; recoveryCode?: string | undefined }

/** Takes a code of this person, so that it works no second time; refuses a wrong one. */
export async function useSecondFactor(
  deps: Deps,
  userId: string,
  proof: FactorProof,
): Promise<'totp' | 'recovery-code'> {
  failures.admit(userId, deps.now())
  // Counted before the look: of many guesses at once only as many as are allowed get through.
  failures.failed(userId, deps.now())
  const { otp, recoveryCode } = proof
  const right = await withUser(deps.db, userId, async (tx) => {
    if (otp) return takeTotp(tx, deps, userId, otp)
    return recoveryCode ? useRecoveryCode(tx, deps, userId, recoveryCode) : false
  })
  if (!right) {
    throw new Problem('second-factor-refused', 'The code is wrong, or was used already. Wait for the next one.')
  }
  failures.succeeded(userId)
  return otp ? 'totp' : 'recovery-code'
}

async function takeTotp(tx: Transaction, deps: Deps, userId: string, otp: string): Promise<boolean> {
  const [row] = await tx.select().from(userTotp).where(eq(userTotp.userId, userId))
  return row?.confirmedAt ? spendTotp(tx, deps, row, otp) : false
}

/** One conditional UPDATE: of two requests with the same code one is refused. */
export async function spendTotp(
  tx: Transaction,
  deps: Deps,
  row: typeof userTotp.$inferSelect,
  otp: string,
): Promise<boolean> {
  const secret = openOwn(deps.pepper, 'totp-secret', row.userId, row.sealedSecret)
  const step = matchTotp(secret, otp, deps.now(), row.lastStep)
  secret.fill(0)
  if (step === null) return false
  const taken = await tx
    .update(userTotp)
    .set({ lastStep: step })
    .where(and(eq(userTotp.userId, row.userId), lt(userTotp.lastStep, step)))
    .returning({ userId: userTotp.userId })
  return taken.length === 1
}
