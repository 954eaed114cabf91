import { deviceCodes, withLookup } from '@capstan/migrations'
import { and, eq, gt } from 'drizzle-orm'
import type { Deps } from '../context.js'
import { Problem } from '../problems.js'
import { openSession } from '../sessions/open-session.js'
import { deviceHashOf } from './device-code-hashes.js'

/**
 * The session of a command line whose code a person has confirmed; once. It does not count as a fresh second factor:
 * whoever talked somebody into typing a code would otherwise hold one.
 */
export async function redeemDeviceCode(
  deps: Deps,
  input: { id: string; userAgent: string | undefined; requestId: string },
): Promise<{ id: string; token: string }> {
  const deviceHash = deviceHashOf(deps, input.id)
  const mine = eq(deviceCodes.deviceHash, deviceHash)
  const { approved, code } = await withLookup(deps.db, deviceHash, async (tx) => ({
    approved: (
      await tx
        .update(deviceCodes)
        .set({ state: 'spent' })
        .where(and(mine, eq(deviceCodes.state, 'approved'), gt(deviceCodes.expiresAt, deps.now())))
        .returning()
    )[0],
    code: (await tx.select().from(deviceCodes).where(mine))[0],
  }))
  if (approved?.userId) {
    const { userId, twoFactor, onlyOrgId } = approved
    const { userAgent, requestId } = input
    const proof = { method: 'device-code', twoFactor, secondFactorAt: null, onlyOrgId }
    return openSession(deps, { userId, client: 'cli', userAgent, requestId, ...proof })
  }
  if (code?.state === 'pending' && code.expiresAt > deps.now()) {
    throw new Problem('sign-in-pending', 'The sign-in has not been confirmed in the browser yet.')
  }
  if (code?.state === 'denied') throw new Problem('sign-in-denied', 'The sign-in was refused in the browser.')
  throw new Problem('sign-in-expired', 'The code has expired or was used. Begin the sign-in again.')
}
