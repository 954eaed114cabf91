import { newId, sessions, userPasswords, users, withLookup, withUser } from '@capstan/migrations'
import { eq, sql } from 'drizzle-orm'
import { passwordMatches } from '../auth/password.js'
import { createToken, hashToken } from '../auth/tokens.js'
import type { Deps } from '../context.js'
import { limitWork } from '../limit-work.js'
import { Problem } from '../problems.js'
import { createFailureCounter } from './count-failures.js'

const SESSION_MS = 12 * 60 * 60 * 1000

// Hashing a password takes 128 MiB and a thread of the pool that files are read with.
const hashing = limitWork({ atOnce: 2, waiting: 16 })
const failures = createFailureCounter()

export type CreateSession = { email: string; password: string }

/** Signs a person in; the answer is the same for an unknown address and for a wrong password. */
export async function createSession(deps: Deps, input: CreateSession): Promise<{ id: string; token: string }> {
  const email = input.email.toLowerCase()
  failures.admit(email, deps.now())
  const [user] = await withLookup(deps.db, email, (tx) =>
    tx
      .select({ id: users.id })
      .from(users)
      .where(eq(sql`lower(${users.email})`, email)),
  )
  const stored = user ? await storedPassword(deps, user.id) : null
  const matches = await hashing(() => passwordMatches(input.password, stored))
  if (!user || !matches) {
    failures.failed(email, deps.now())
    throw new Problem('sign-in-refused', 'E-mail address or password is wrong.')
  }
  failures.succeeded(email)
  const token = createToken('cs')
  const session = {
    id: newId(),
    userId: user.id,
    tokenHash: hashToken(deps.pepper, token),
    expiresAt: new Date(deps.now().getTime() + SESSION_MS),
  }
  await withUser(deps.db, user.id, async (tx) => {
    await tx.insert(sessions).values(session)
    await tx.update(users).set({ lastSeenAt: deps.now() }).where(eq(users.id, user.id))
  })
  return { id: session.id, token }
}

async function storedPassword(deps: Deps, userId: string): Promise<string | null> {
  const [row] = await withUser(deps.db, userId, (tx) =>
    tx.select({ hash: userPasswords.hash }).from(userPasswords).where(eq(userPasswords.userId, userId)),
  )
  return row?.hash ?? null
}
