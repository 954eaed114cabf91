import { withOrg } from '@capstan/migrations'
import { type Context, requireScope } from '../context.js'
import { type AuditFilter, findAuditEvents } from './find-audit-events.js'
import { type AuditRow, presentValues } from './with-values.js'

const BATCH = 1000
const COLUMNS = [
  'seq',
  'time',
  'actor type',
  'actor',
  'through',
  'action',
  'outcome',
  'target',
  'data',
  'personal',
  'request',
  'hash',
]

type Event = {
  ts: string
  actor: { type: string; id: string; via?: { type: string; id: string } }
  action: string
  outcome: string
  target: object
  data: object
  request: { id: string }
}

/** Events as CSV (RFC 4180), newest first, for people; what is verified is the JSON Lines export. */
export async function* exportAuditTable(ctx: Context, filter: AuditFilter): AsyncGenerator<Uint8Array> {
  requireScope(ctx, 'audit:read')
  yield lineOf(COLUMNS)
  let before = filter.before
  for (;;) {
    const page = { ...filter, before }
    const rows = await withOrg(ctx.db, ctx.orgId, (tx) => findAuditEvents(tx, ctx.orgId, page, { limit: BATCH }))
    const last = rows.at(-1)
    if (!last) return
    yield Buffer.concat(rows.map((row) => lineOf(cellsOf(row))))
    before = last.seq
  }
}

function cellsOf(row: AuditRow): string[] {
  const { seq, hash, event } = row
  const { ts, actor, action, outcome, target, data, request } = JSON.parse(event) as Event
  const through = actor.via ? `${actor.via.type} ${actor.via.id}` : ''
  const facts = [target, data, presentValues(row)].map((fact) => JSON.stringify(fact))
  return [String(seq), ts, actor.type, actor.id, through, action, outcome, ...facts, request.id, hash]
}

function lineOf(cells: readonly string[]): Buffer {
  return Buffer.from(`${cells.map(cell).join(',')}\r\n`, 'utf8')
}

/** Spreadsheets run a cell that begins with one of these as a formula; behind an apostrophe it is text. */
function cell(text: string): string {
  const inert = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return `"${inert.replaceAll('"', '""')}"`
}
