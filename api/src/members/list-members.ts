import { memberships, type Role, type Transaction, users, withOrg } from '@capstan/migrations'
import { and, asc, eq, ilike, or } from 'drizzle-orm'
import { containing } from '../channels/list-channels.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import type { MemberRow } from './present-member.js'

export type ListMembers = {
  role?: Role | undefined
  /** A part of the name or the e-mail address. */
  query?: string | undefined
  limit: number
  offset: number
}

const columns = { membership: memberships, user: { id: users.id, email: users.email, name: users.name } }

/** Who belongs to the organization, longest first. */
export async function listMembers(ctx: Context, input: ListMembers): Promise<MemberRow[]> {
  requireScope(ctx, 'members:read')
  const pattern = input.query ? containing(input.query) : undefined
  return withOrg(ctx.db, ctx.orgId, (tx) =>
    tx
      .select(columns)
      .from(memberships)
      .innerJoin(users, eq(users.id, memberships.userId))
      .where(
        and(
          input.role ? eq(memberships.role, input.role) : undefined,
          pattern ? or(ilike(users.name, pattern), ilike(users.email, pattern)) : undefined,
        ),
      )
      .orderBy(asc(memberships.createdAt), asc(memberships.userId))
      .limit(input.limit)
      .offset(input.offset),
  )
}

export async function getMember(ctx: Context, userId: string): Promise<MemberRow> {
  requireScope(ctx, 'members:read')
  return withOrg(ctx.db, ctx.orgId, (tx) => requireMember(tx, userId))
}

export async function requireMember(tx: Transaction, userId: string): Promise<MemberRow> {
  const [found] = await tx
    .select(columns)
    .from(memberships)
    .innerJoin(users, eq(users.id, memberships.userId))
    .where(eq(memberships.userId, userId))
  if (!found) throw new Problem('not-found', 'The organization has no such member.')
  return found
}
