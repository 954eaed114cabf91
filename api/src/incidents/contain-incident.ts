import {
  alsoOrg,
  apiTokens,
  channels,
  incidentSteps,
  newId,
  type Transaction,
  trustPolicies,
  withIncidents,
} from '@capstan/migrations'
import { and, eq, isNull, sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import type { Context, Deps } from '../context.js'
import { moveVersion } from '../credential-versions/move-version.js'
import { findVersions } from '../credential-versions/queries.js'
import { endBuilds } from '../organizations/end-builds.js'
import { Problem } from '../problems.js'
import { findAffected, lockIncident } from './queries.js'

export const containments = ['revoke_tokens', 'freeze_updates', 'cancel_builds', 'disable_credential'] as const
type Containment = (typeof containments)[number]
export type ContainIncident = {
  incidentId: string
  organizationId: string
  action: Containment
  /** Of `disable_credential`. */
  credentialId?: string | undefined
}

const ENDED = {
  code: 'incident-contained',
  message: 'The builds of this organization were ended because of an incident.',
}

/** Stops what could do more harm, in one organization that is concerned; each is an event there. Answers how much it stopped. */
export async function containIncident(
  deps: Deps,
  by: { operatorId: string; requestId: string },
  input: ContainIncident,
): Promise<number> {
  const { incidentId, organizationId: orgId, action } = input
  return withIncidents(deps.db, async (tx) => {
    const incident = await lockIncident(tx, incidentId)
    if (incident.state === 'closed') throw new Problem('incident-transition-refused', 'The incident is closed.')
    const affected = await findAffected(tx, incidentId)
    if (!affected.some((one) => one.orgId === orgId)) throw new Problem('not-found')
    await alsoOrg(tx, orgId)
    const actor = { type: 'operator', id: by.operatorId } as const
    const ctx: Context = { ...deps, orgId, actor, requestId: by.requestId }
    const stopped = await actions[action](tx, ctx, input)
    await tx.insert(incidentSteps).values({
      id: newId(),
      incidentId,
      state: incident.state,
      evidence: `${action} in ${orgId}: ${stopped} stopped`,
      operatorId: by.operatorId,
    })
    await recordAudit(tx, ctx, {
      action: 'incident.contained',
      target: { incident: incidentId, ...(input.credentialId ? { credential: input.credentialId } : {}) },
      data: { action, stopped },
    })
    return stopped
  })
}

const actions: Record<Containment, (tx: Transaction, ctx: Context, input: ContainIncident) => Promise<number>> = {
  revoke_tokens: revokeTokens,
  freeze_updates: freezeUpdates,
  cancel_builds: (tx, ctx) => endBuilds(tx, ctx, ENDED),
  disable_credential: disableCredential,
}

/** With the trust policies: a CI job would else exchange its own token for a new one. */
async function revokeTokens(tx: Transaction, ctx: Context): Promise<number> {
  const policies = await tx
    .delete(trustPolicies)
    .where(eq(trustPolicies.orgId, ctx.orgId))
    .returning({ id: trustPolicies.id })
  const revoked = await tx
    .update(apiTokens)
    .set({ revokedAt: ctx.now() })
    .where(and(eq(apiTokens.orgId, ctx.orgId), isNull(apiTokens.revokedAt)))
    .returning({ id: apiTokens.id })
  return policies.length + revoked.length
}

/** Devices stay on what they have, rollouts wait for their channel; people of the organization may resume a channel. */
async function freezeUpdates(tx: Transaction, ctx: Context): Promise<number> {
  const paused = await tx
    .update(channels)
    .set({ pausedAt: ctx.now(), updatedAt: sql`now()` })
    .where(and(eq(channels.orgId, ctx.orgId), isNull(channels.pausedAt)))
    .returning({ id: channels.id })
  return paused.length
}

/** No new build gets it; those that have it already go on, unless they are canceled too. */
async function disableCredential(tx: Transaction, ctx: Context, { credentialId }: ContainIncident): Promise<number> {
  if (!credentialId) throw new Problem('request-invalid', 'Name the credential to disable.')
  const versions = await findVersions(tx, credentialId)
  const active = versions.filter(({ status }) => status === 'active')
  if (versions.length === 0) throw new Problem('not-found')
  for (const version of active) await moveVersion(tx, version, 'retiring')
  return active.length
}
