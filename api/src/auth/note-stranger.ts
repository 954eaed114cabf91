import { organizations, withOrg } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import type { Deps } from '../context.js'
import { limitRate } from '../limit-rate.js'
import type { Principal } from './authenticate.js'

/** A stranger who tries ids is noted once a minute; all of them together cannot make a log grow without end. */
const perStranger = limitRate({ burst: 1, perSecond: 1 / 60 })
const perOrganization = limitRate({ burst: 10, perSecond: 10 / 60 })

/**
 * An event in the log of the organization whose ids somebody asked about who is no member. The answer does not wait for it,
 * so that an id that exists takes no longer than one that does not.
 */
export function noteStranger(deps: Deps, principal: Principal, asked: { orgId: string; requestId: string }): void {
  const { orgId, requestId } = asked
  const now = deps.now()
  if (!perStranger(`${principal.userId} ${orgId}`, now) || !perOrganization(orgId, now)) return
  const via =
    principal.kind === 'token'
      ? ({ type: 'token', id: principal.tokenId } as const)
      : ({ type: 'session', id: principal.sessionId } as const)
  const by = { orgId, requestId, actor: { type: 'user', id: principal.userId, via } as const }
  withOrg(deps.db, orgId, async (tx) => {
    const [organization] = await tx
      .select({ id: organizations.id })
      .from(organizations)
      .where(eq(organizations.id, orgId))
    if (!organization) return
    await recordAudit(tx, by, { action: 'authz.denied', target: { organization: orgId }, outcome: 'refused' })
  }).catch((error: unknown) => deps.log.warn({ err: error, requestId }, 'a refusal was not noted'))
}
