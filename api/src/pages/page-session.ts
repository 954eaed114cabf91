import { users, withUser } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import type { Context } from 'hono'
import { deleteCookie, getCookie, setCookie } from 'hono/cookie'
import type { Env } from '../auth/access.js'
import { authenticateSession } from '../auth/authenticate.js'
import type { SessionPrincipal } from '../auth/self.js'
import { hashToken, kindOf } from '../auth/tokens.js'
import { Problem } from '../problems.js'

/**
 * The session of the pages. The prefix makes browsers refuse the cookie without `Secure`, from another host or for a
 * part of the addresses only. The API itself never reads it: what is under /v1 takes the `Authorization` header alone.
 */
const NAME = 'capstan'
const OPTIONS = { prefix: 'host', path: '/', secure: true, httpOnly: true, sameSite: 'Strict' } as const

export const keepPageSession = (c: Context<Env>, token: string): void => setCookie(c, NAME, token, OPTIONS)

export function forgetPageSession(c: Context<Env>): void {
  deleteCookie(c, NAME, OPTIONS)
}

/** Who looks at the page; null when nobody is signed in. */
export async function pageSession(c: Context<Env>): Promise<SessionPrincipal | null> {
  const token = getCookie(c, NAME, 'host')
  if (!token || kindOf(token) !== 'cs') return null
  try {
    const session = await sessionOfToken(c, token)
    // Only who signed in on a page lets others in: a session that came of a code or a password elsewhere gives none.
    return session.client === 'page' ? session : null
  } catch (error) {
    if (error instanceof Problem) return null
    throw error
  }
}

export const sessionOfToken = (c: Context<Env>, token: string): Promise<SessionPrincipal> =>
  authenticateSession(c.get('deps'), hashToken(c.get('deps').pepper, token))

export async function emailOf(c: Context<Env>, { userId }: SessionPrincipal): Promise<string> {
  const [user] = await withUser(c.get('deps').db, userId, (tx) =>
    tx.select({ email: users.email }).from(users).where(eq(users.id, userId)),
  )
  return user?.email ?? ''
}
