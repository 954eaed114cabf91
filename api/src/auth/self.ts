import { alsoOrg, eachOrgOf, type Transaction } from '@capstan/migrations'
import type { Context as HonoContext } from 'hono'
import { type AuditEntry, recordAudit } from '../audit/record-audit.js'
import type { Actor, Deps } from '../context.js'
import { mailOwnChange } from '../mails/mail-to.js'
import { Problem } from '../problems.js'
import type { Env } from './access.js'
import type { Principal } from './authenticate.js'
import { FRESH_MS } from './step-up.js'

export type SessionPrincipal = Extract<Principal, { kind: 'session' }>

/** A person who changes what is theirs alone, across organizations: factors, sessions. */
export type Self = Deps & { session: SessionPrincipal; requestId: string }

/**
 * The person behind a session; what is personal is not changed through an API token, nor by what one organization's
 * provider vouched for: whoever rules that provider would else have the person in every other organization.
 */
export const selfOf = (c: HonoContext<Env>): Self => requireEverywhere(signedInOf(c))

export function requireEverywhere(self: Self): Self {
  if (self.session.onlyOrgId === null) return self
  throw new Problem(
    'session-needed',
    'This sign-in counts in one organization only. Sign in with a password or passkey.',
  )
}

/** As `selfOf`, also where the session counts in one organization only. */
export function signedInOf(c: HonoContext<Env>): Self {
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

/** One event in the log of each organization of a person, or of the one that the session counts in, in the transaction of `withUser` that makes the change. */
export async function recordPersonal(
  tx: Transaction,
  by: { userId: string; requestId: string; via?: Actor['via']; onlyOrgId?: string | null },
  entry: AuditEntry,
): Promise<void> {
  const actor: Actor = { type: 'user', id: by.userId, ...(by.via ? { via: by.via } : {}) }
  const record = (orgId: string) => recordAudit(tx, { orgId, actor, requestId: by.requestId }, entry)
  if (!by.onlyOrgId) return eachOrgOf(tx, by.userId, record)
  await alsoOrg(tx, by.onlyOrgId)
  await record(by.onlyOrgId)
}

/** As `recordPersonal`; and the person is written to where it is something to know of. */
export async function recordOwn(tx: Transaction, self: Self, entry: AuditEntry): Promise<void> {
  const { userId, sessionId, onlyOrgId } = self.session
  await mailOwnChange(tx, self, { userId, action: entry.action })
  const via = { type: 'session', id: sessionId } as const
  await recordPersonal(tx, { userId, requestId: self.requestId, via, onlyOrgId }, entry)
}
