import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { type LoggedCheckIn, readCheckIns } from './check-in-log.js'

export type ListCheckIns = { appId: string; after: string | null; limit: number }

/** What devices asked in the last hour, a bounded sample, oldest first; ask again with the newest cursor to follow it. */
export async function listCheckIns(ctx: Context, input: ListCheckIns): Promise<LoggedCheckIn[]> {
  requireScope(ctx, 'devices:read')
  await ctx.checkIns.flush(input.appId)
  return readCheckIns(ctx.redis, input.appId, input).catch((error: unknown) => {
    ctx.log.warn({ err: error, requestId: ctx.requestId }, 'the log of check-ins could not be read')
    throw new Problem('dependency-unavailable', 'The log of check-ins does not answer. Try again in a moment.')
  })
}
