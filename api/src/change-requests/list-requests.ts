import { changeRequests, changeRequestSteps, type ChangeRequestState, withOrg } from '@capstan/migrations'
import { and, asc, desc, eq, inArray } from 'drizzle-orm'
import { type Context, readableApps } from '../context.js'
import { Problem } from '../problems.js'
import type { ChangeRequest, Step } from './queries.js'

export type ListRequests = {
  state?: ChangeRequestState | undefined
  appId?: string | undefined
  limit: number
  offset: number
}

/** Newest first. */
export async function listRequests(ctx: Context, input: ListRequests): Promise<ChangeRequest[]> {
  const limit = readableApps(ctx, 'change-requests:read')
  return withOrg(ctx.db, ctx.orgId, (tx) =>
    tx
      .select()
      .from(changeRequests)
      .where(
        and(
          limit ? inArray(changeRequests.appId, [...limit]) : undefined,
          input.state ? eq(changeRequests.state, input.state) : undefined,
          input.appId ? eq(changeRequests.appId, input.appId) : undefined,
        ),
      )
      .orderBy(desc(changeRequests.id))
      .limit(input.limit)
      .offset(input.offset),
  )
}

/** One request with everything that was done with it, oldest step first. */
export async function getRequest(ctx: Context, id: string): Promise<{ request: ChangeRequest; steps: Step[] }> {
  const limit = readableApps(ctx, 'change-requests:read')
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const isReadable = limit ? inArray(changeRequests.appId, [...limit]) : undefined
    const isThis = and(eq(changeRequests.id, id), isReadable)
    const [request] = await tx.select().from(changeRequests).where(isThis)
    if (!request) throw new Problem('not-found', 'This organization has no such change request.')
    const steps = await tx
      .select()
      .from(changeRequestSteps)
      .where(eq(changeRequestSteps.changeRequestId, id))
      .orderBy(asc(changeRequestSteps.id))
    return { request, steps }
  })
}
