import { userPasswords, users, withLookup, withUser } from '@capstan/migrations'
import { eq, sql } from 'drizzle-orm'
import { hashInTurn } from '../auth/hash-in-turn.js'
import { passwordMatches } from '../auth/password.js'
import type { Deps } from '../context.js'
import { Problem } from '../problems.js'
import { findFactors, hasFactor } from '../second-factors/find-factors.js'
import { type FactorProof, useSecondFactor } from '../second-factors/use-second-factor.js'
import { createFailureCounter } from './count-failures.js'
import { openSession, type OpenSession } from './open-session.js'

const failures = createFailureCounter()

export type CreateSession = { email: string; password: string } & FactorProof &
  Pick<OpenSession, 'client' | 'userAgent' | 'requestId'>

/**
 * Signs a person in; the answer is the same for an unknown address and for a wrong password. Whoever has set up a second
 * factor is asked for it only after the password was right.
 */
export async function createSession(deps: Deps, input: CreateSession): Promise<{ id: string; token: string }> {
  const userId = await checkPassword(deps, input)
  const factors = await withUser(deps.db, userId, (tx) => findFactors(tx, userId))
  const { client, userAgent, requestId } = input
  if (!hasFactor(factors)) {
    const opened = { userId, client, userAgent, requestId, method: 'password', twoFactor: false, secondFactorAt: null }
    return openSession(deps, opened)
  }
  if (!input.otp && !input.recoveryCode) {
    const ways = [
      factors.totp ? 'the code of your authenticator app as "otp"' : '',
      factors.passkeys > 0 ? 'sign in with your passkey' : '',
      'a recovery code as "recoveryCode"',
    ]
    throw new Problem('second-factor-needed', `A second factor is needed: ${ways.filter(Boolean).join(', or ')}.`)
  }
  const factor = await useSecondFactor(deps, userId, input)
  const method = `password+${factor}`
  return openSession(deps, {
    userId,
    client,
    userAgent,
    requestId,
    method,
    twoFactor: true,
    secondFactorAt: deps.now(),
  })
}

async function checkPassword(deps: Deps, input: { email: string; password: string }): Promise<string> {
  const email = input.email.toLowerCase()
  failures.admit(email, deps.now())
  const [user] = await withLookup(deps.db, email, (tx) =>
    tx
      .select({ id: users.id })
      .from(users)
      .where(eq(sql`lower(${users.email})`, email)),
  )
  const stored = user ? await storedPassword(deps, user.id) : null
  const matches = await hashInTurn(() => passwordMatches(input.password, stored))
  if (!user || !matches) {
    failures.failed(email, deps.now())
    throw new Problem('sign-in-refused', 'E-mail address or password is wrong.')
  }
  failures.succeeded(email)
  return user.id
}

export async function storedPassword(deps: Deps, userId: string): Promise<string | null> {
  const [row] = await withUser(deps.db, userId, (tx) =>
    tx.select({ hash: userPasswords.hash }).from(userPasswords).where(eq(userPasswords.userId, userId)),
  )
  return row?.hash ?? null
}
