import { eachOrgOf, type Transaction } from '@capstan/migrations'
import type { Context as HonoContext } from 'hono'
import { type AuditEntry, recordAudit } from '../audit/record-audit.js'
import type { Actor, Deps } from '../context.js'
import { Problem } from '../problems.js'
import type { Env } from './access.js'
import type { Principal } from './authenticate.js'
import { FRESH_MS } from './step-up.js'

export type SessionPrincipal = Extract<Principal, { kind: 'session' }>

/** A person who changes what is theirs alone, across organizations: factors, sessions. */
export type Self = Deps & { session: SessionPrincipal; requestId: string }

/** The person behind a session; what is personal is not changed through an API token. */
export function selfOf(c: HonoContext<Env>): Self {
  const principal = c.get('principal')
  if (principal.kind !== 'session') {
    throw new Problem('session-needed', 'An API token cannot do this. Sign in with a session.')
  }
  return { ...c.get('deps'), session: principal, requestId: c.get('requestId') }
}

/**
 * Refuses a session that was left open: changing factors needs one of them within five minutes; where there is none
 * yet, a sign-in with the password within five minutes. A command line's session was never given the password.
 */
export function requireFreshSelf({ session, now }: Self, hasFactor: boolean): void {
  const isFresh = (at: Date | null) => at !== null && now().getTime() - at.getTime() <= FRESH_MS
  if (isFresh(session.secondFactorAt)) return
  if (hasFactor) {
    throw new Problem(
      session.secondFactorAt ? 'second-factor-stale' : 'second-factor-missing',
      'Confirm with a second factor first: POST /v1/sessions/current/second-factor.',
    )
  }
  if (session.client === 'cli' || !isFresh(session.createdAt)) {
    throw new Problem('sign-in-stale', 'Sign in again, and do this within five minutes.')
  }
}

/** One event in the log of each organization of a person, in the transaction of `withUser` that makes the change. */
export async function recordPersonal(
  tx: Transaction,
  by: { userId: string; requestId: string; via?: Actor['via'] },
  entry: AuditEntry,
): Promise<void> {
  const actor: Actor = { type: 'user', id: by.userId, ...(by.via ? { via: by.via } : {}) }
  await eachOrgOf(tx, by.userId, (orgId) => recordAudit(tx, { orgId, actor, requestId: by.requestId }, entry))
}

export const recordOwn = (tx: Transaction, self: Self, entry: AuditEntry): Promise<void> =>
  recordPersonal(
    tx,
    { userId: self.session.userId, requestId: self.requestId, via: { type: 'session', id: self.session.sessionId } },
    entry,
  )
