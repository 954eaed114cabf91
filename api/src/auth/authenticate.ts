import { apiTokens, sessions, withLookup, withOrg, withUser } from '@capstan/migrations'
import { and, eq, gt, isNull } from 'drizzle-orm'
import type { Deps } from '../context.js'
import { Problem } from '../problems.js'
import { hashToken, kindOf } from './tokens.js'

type TokenRow = typeof apiTokens.$inferSelect
type SessionRow = typeof sessions.$inferSelect

/** A person, through an API token (bound to one organization) or a session (all organizations of that person). */
export type Principal =
  | ({ kind: 'token'; tokenId: string; userId: string; orgId: string } & Pick<
      TokenRow,
      'scopes' | 'cidrs' | 'expiresAt'
    > & {
        service: boolean
      })
  | ({ kind: 'session'; sessionId: string; userId: string } & Pick<
      SessionRow,
      'twoFactor' | 'secondFactorAt' | 'createdAt' | 'client' | 'onlyOrgId'
    >)

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
  if (isOld(row.lastUsedAt, now)) {
    await withOrg(deps.db, row.orgId, (tx) =>
      tx.update(apiTokens).set({ lastUsedAt: now }).where(eq(apiTokens.id, row.id)),
    )
  }
  const { id: tokenId, userId, orgId, scopes, cidrs, expiresAt } = row
  return { kind: 'token', tokenId, userId, orgId, scopes, cidrs, expiresAt, service: row.kind === 'service' }
}

/** The session of a token `cs_…`, from a header or from the cookie of a page. */
export async function authenticateSession(
  deps: Deps,
  tokenHash: string,
): Promise<Extract<Principal, { kind: 'session' }>> {
  const now = deps.now()
  const [row] = await withLookup(deps.db, tokenHash, (tx) =>
    tx
      .select()
      .from(sessions)
      .where(and(eq(sessions.tokenHash, tokenHash), isNull(sessions.revokedAt), gt(sessions.expiresAt, now))),
  )
  if (!row) throw new Problem('token-invalid')
  if (isOld(row.lastSeenAt, now)) {
    await withUser(deps.db, row.userId, (tx) =>
      tx.update(sessions).set({ lastSeenAt: now }).where(eq(sessions.id, row.id)),
    )
  }
  const { id: sessionId, userId, twoFactor, secondFactorAt, createdAt, client, onlyOrgId } = row
  return { kind: 'session', sessionId, userId, twoFactor, secondFactorAt, createdAt, client, onlyOrgId }
}

const isOld = (last: Date | null, now: Date) => !last || now.getTime() - last.getTime() > LAST_USED_RESOLUTION_MS

/** The one organization that a caller is bound to; null: every one of that person. */
export const onlyOrgOf = (principal: Principal): string | null =>
  principal.kind === 'token' ? principal.orgId : principal.onlyOrgId
