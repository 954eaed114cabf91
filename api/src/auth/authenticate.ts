import { apiTokens, memberships, sessions, withLookup, withOrg, withUser, type Role } from '@capstan/migrations'
import { and, eq, gt, isNull } from 'drizzle-orm'
import type { Deps } from '../context.js'
import { Problem } from '../problems.js'
import { hashToken, kindOf } from './tokens.js'

/** A person, through an API token (bound to one organization) or a session (all organizations of that person). */
export type Principal =
  | { kind: 'token'; tokenId: string; userId: string; orgId: string }
  | { kind: 'session'; sessionId: string; userId: string }

const LAST_USED_RESOLUTION_MS = 60_000

/** Who the bearer of an `Authorization` header is; 401 for every token that is not known and live. */
export async function authenticate(deps: Deps, authorization: string | undefined): Promise<Principal> {
  const token = bearerOf(authorization)
  const kind = kindOf(token)
  if (kind === 'ca') return authenticateApiToken(deps, hashToken(deps.pepper, token))
  if (kind === 'cs') return authenticateSession(deps, hashToken(deps.pepper, token))
  throw new Problem('token-invalid')
}

export function bearerOf(authorization: string | undefined): string {
  if (!authorization) throw new Problem('token-missing', 'Send a token: "Authorization: Bearer ca_…".')
  const match = /^Bearer ([\w-]{1,200})$/i.exec(authorization.trim())
  if (!match?.[1]) throw new Problem('token-invalid')
  return match[1]
}

async function authenticateApiToken(deps: Deps, tokenHash: string): Promise<Principal> {
  const now = deps.now()
  const [row] = await withLookup(deps.db, tokenHash, (tx) =>
    tx
      .select()
      .from(apiTokens)
      .where(and(eq(apiTokens.tokenHash, tokenHash), isNull(apiTokens.revokedAt), gt(apiTokens.expiresAt, now))),
  )
  if (!row) throw new Problem('token-invalid')
  if (!row.lastUsedAt || now.getTime() - row.lastUsedAt.getTime() > LAST_USED_RESOLUTION_MS) {
    await withOrg(deps.db, row.orgId, (tx) =>
      tx.update(apiTokens).set({ lastUsedAt: now }).where(eq(apiTokens.id, row.id)),
    )
  }
  return { kind: 'token', tokenId: row.id, userId: row.userId, orgId: row.orgId }
}

async function authenticateSession(deps: Deps, tokenHash: string): Promise<Principal> {
  const [row] = await withLookup(deps.db, tokenHash, (tx) =>
    tx
      .select()
      .from(sessions)
      .where(and(eq(sessions.tokenHash, tokenHash), isNull(sessions.revokedAt), gt(sessions.expiresAt, deps.now()))),
  )
  if (!row) throw new Problem('token-invalid')
  return { kind: 'session', sessionId: row.id, userId: row.userId }
}

/** The role of a principal in an organization; null when it is not its business. */
export async function roleIn(deps: Deps, principal: Principal, orgId: string): Promise<Role | null> {
  if (principal.kind === 'token' && principal.orgId !== orgId) return null
  const [row] = await withUser(deps.db, principal.userId, (tx) =>
    tx
      .select({ role: memberships.role })
      .from(memberships)
      .where(and(eq(memberships.orgId, orgId), eq(memberships.userId, principal.userId))),
  )
  return row?.role ?? null
}
