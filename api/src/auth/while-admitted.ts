import type { Context } from '../context.js'
import { Problem } from '../problems.js'
import type { Scope } from './permissions.js'

/** A reader whose token was revoked gets nothing more after this long. */
export const RECHECK_MS = 3_000

/**
 * Pages of a long answer, which breaks off once the caller would not be given it any more: a page is looked up when its
 * reader comes to it, and a reader may take days.
 */
export async function* whileAdmitted<T>(ctx: Context, scope: Scope, pages: AsyncIterable<T>): AsyncGenerator<T> {
  let checkedAt = ctx.now().getTime()
  for await (const page of pages) {
    if (ctx.now().getTime() - checkedAt >= RECHECK_MS) {
      if (ctx.stillAdmitted && !(await ctx.stillAdmitted(scope))) throw new Problem('token-invalid')
      checkedAt = ctx.now().getTime()
    }
    yield page
  }
}
