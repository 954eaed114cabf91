import { alsoLookup, deviceCodes, withLookup, withUser } from '@capstan/migrations'
import { and, eq, gt } from 'drizzle-orm'
import { recordPersonal, type SessionPrincipal } from '../auth/self.js'
import type { Deps } from '../context.js'
import { Problem } from '../problems.js'
import { createFailureCounter } from '../sessions/count-failures.js'
import { holdSession } from '../sessions/hold-session.js'
import { userCodeHashOf } from './device-code-hashes.js'

const failures = createFailureCounter()

/** The waiting sign-in that a code belongs to. Codes are short: a person may guess ten, then none for a while. */
export async function findDeviceCode(deps: Deps, session: SessionPrincipal, code: string) {
  failures.admit(session.userId, deps.now())
  const userCodeHash = userCodeHashOf(deps, code)
  const [row] = await withLookup(deps.db, userCodeHash, (tx) =>
    tx
      .select({ userAgent: deviceCodes.userAgent, createdAt: deviceCodes.createdAt })
      .from(deviceCodes)
      .where(waiting(deps, userCodeHash)),
  )
  if (!row) {
    failures.failed(session.userId, deps.now())
    throw new Problem(
      'device-code-unknown',
      'No command line waits with this code. Check it, or begin the sign-in again.',
    )
  }
  return row
}

export type DecideDeviceCode = {
  session: SessionPrincipal
  requestId: string
  code: string
  decision: 'approved' | 'denied'
}

/** Lets the command line in as this person, or refuses it; whichever comes first counts. */
export async function decideDeviceCode(deps: Deps, input: DecideDeviceCode): Promise<void> {
  const { session, code, decision, requestId } = input
  const { userId, sessionId, twoFactor, onlyOrgId } = session
  await findDeviceCode(deps, session, code)
  const userCodeHash = userCodeHashOf(deps, code)
  await withUser(deps.db, userId, async (tx) => {
    if (!(await holdSession(tx, sessionId, deps.now()))) throw new Problem('token-invalid')
    await alsoLookup(tx, userCodeHash)
    const [decided] = await tx
      .update(deviceCodes)
      .set({ state: decision, userId, twoFactor, onlyOrgId })
      .where(waiting(deps, userCodeHash))
      .returning({ id: deviceCodes.id })
    if (!decided) throw new Problem('device-code-unknown', 'This code was answered already.')
    await recordPersonal(
      tx,
      { userId, requestId, via: { type: 'session', id: sessionId }, onlyOrgId },
      { action: `device-code.${decision}`, target: { deviceCode: decided.id } },
    )
  })
}

const waiting = (deps: Deps, userCodeHash: string) =>
  and(
    eq(deviceCodes.userCodeHash, userCodeHash),
    eq(deviceCodes.state, 'pending'),
    gt(deviceCodes.expiresAt, deps.now()),
  )
