import type { Role } from '@capstan/migrations'
import { includesRole, scopesOf } from '../auth/permissions.js'
import type { Context } from '../context.js'
import { type Approval, requireApproval } from '../change-requests/require-approval.js'
import { Problem } from '../problems.js'

/** Nobody gives a role, or takes one away, that includes what they may not do themselves. */
export function refuseEscalation(ctx: Context, ...roles: readonly Role[]): void {
  for (const role of roles) {
    if ([...scopesOf(role)].every((scope) => ctx.actor.scopes?.has(scope))) continue
    throw new Problem(
      'role-not-yours',
      `The role "${role}" includes more than yours. Ask an owner of the organization.`,
    )
  }
}

/**
 * Asked before somebody gets a role that can do what an approver can, by whatever name. Null where no consent is needed:
 * for less than that, and for what the role from before includes. Who may approve already gets more only by consent too,
 * or two steps would do what one may not.
 */
export async function consentToRole(
  ctx: Context,
  { from, to, subject }: { from: Role; to: Role; subject: Record<string, string> },
): Promise<Approval | null> {
  if (!includesRole(to, 'approver') || includesRole(from, to)) return null
  return requireApproval(ctx, { action: 'role.grant', subject, effect: { role: to }, details: { from } })
}
