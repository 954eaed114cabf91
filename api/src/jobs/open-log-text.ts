import { type LogLine, withOrg } from '@capstan/migrations'
import { type Context, requireScope } from '../context.js'
import { findJob } from './find-job.js'
import { readLogLines } from './read-log-lines.js'

const BATCHES_AT_ONCE = 50

/** The log of a job as it was stored, a line a line, read in pieces so that its length does not matter. */
export async function openLogText(ctx: Context, jobId: string): Promise<AsyncGenerator<Uint8Array>> {
  requireScope(ctx, 'builds:read')
  const first = await withOrg(ctx.db, ctx.orgId, async (tx) => {
    await findJob(tx, jobId)
    return readLogLines(tx, jobId, 0, BATCHES_AT_ONCE)
  })
  return textOf(ctx, jobId, first)
}

async function* textOf(ctx: Context, jobId: string, first: LogLine[]): AsyncGenerator<Uint8Array> {
  let lines = first
  for (;;) {
    const last = lines.at(-1)
    if (!last) return
    yield Buffer.from(lines.map(({ text }) => `${text}\n`).join(''), 'utf8')
    lines = await withOrg(ctx.db, ctx.orgId, (tx) => readLogLines(tx, jobId, last.number, BATCHES_AT_ONCE))
  }
}
