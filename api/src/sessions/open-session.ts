import { alsoOrg, newId, sessions, type Transaction, users, withUser } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { recordPersonal } from '../auth/self.js'
import { createToken, hashToken } from '../auth/tokens.js'
import type { Deps } from '../context.js'

const SESSION_MS = 12 * 60 * 60 * 1000
const USER_AGENT_CHARACTERS = 200

export type OpenSession = {
  userId: string
  client: 'api' | 'cli' | 'page'
  /** How the person proved who it is, for the log. */
  method: string
  /** Whether a second factor was part of it. */
  twoFactor: boolean
  /** When it was presented here; null where the proof was given in another session. */
  secondFactorAt: Date | null
  /** The one organization that it counts in: the provider's through which the person came. */
  onlyOrgId?: string | null
  /** Asked in the transaction that opens it, which shows that organization: throws where the proof counts no more. */
  stillProven?: (tx: Transaction) => Promise<void>
  userAgent: string | undefined
  requestId: string
}

/** A session of a person whose proof was accepted. The token is in this answer only. */
export async function openSession(deps: Deps, input: OpenSession): Promise<{ id: string; token: string }> {
  const token = createToken('cs')
  const { userId, client, twoFactor, secondFactorAt, method, onlyOrgId = null, requestId } = input
  const session = {
    id: newId(),
    userId,
    client,
    twoFactor,
    secondFactorAt,
    onlyOrgId,
    userAgent: cutUserAgent(input.userAgent),
    tokenHash: hashToken(deps.pepper, token),
    createdAt: deps.now(),
    expiresAt: new Date(deps.now().getTime() + SESSION_MS),
  }
  await withUser(deps.db, userId, async (tx) => {
    if (onlyOrgId !== null) await alsoOrg(tx, onlyOrgId)
    await input.stillProven?.(tx)
    await tx.insert(sessions).values(session)
    await tx.update(users).set({ lastSeenAt: deps.now() }).where(eq(users.id, userId))
    const by = { userId, requestId, via: { type: 'session', id: session.id }, onlyOrgId } as const
    const data = { client, method, twoFactor }
    await recordPersonal(tx, by, { action: 'session.opened', target: { session: session.id }, data })
  })
  return { id: session.id, token }
}

export const cutUserAgent = (text: string | undefined): string =>
  (text ?? '').toWellFormed().replaceAll('\0', '').slice(0, USER_AGENT_CHARACTERS)
