import { personalValues, type Transaction } from '@capstan/migrations'
import { and, eq, inArray } from 'drizzle-orm'

type StoredValue = Pick<typeof personalValues.$inferSelect, 'name' | 'salt' | 'value'>
export type AuditRow = { seq: number; hash: string; event: string; values: StoredValue[] }

/** Each event with the values beside it. */
export async function withValues(
  tx: Transaction,
  orgId: string,
  rows: readonly Omit<AuditRow, 'values'>[],
): Promise<AuditRow[]> {
  const numbers = rows.map(({ seq }) => seq)
  const { seq, name, salt, value } = personalValues
  const found = await tx
    .select({ seq, name, salt, value })
    .from(personalValues)
    .where(and(eq(personalValues.orgId, orgId), inArray(personalValues.seq, numbers)))
    .orderBy(seq, name)
  const values = new Map<number, StoredValue[]>(numbers.map((number) => [number, []]))
  for (const row of found) values.get(row.seq)?.push(row)
  return rows.map((row) => ({ ...row, values: values.get(row.seq) ?? [] }))
}

/** Every value that the event commits to; null: it was erased. */
export function presentValues({ event, values }: AuditRow): Record<string, unknown> {
  const { personal = {} } = JSON.parse(event) as { personal?: Record<string, string> }
  const stored = new Map(values.map(({ name, value }) => [name, JSON.parse(value) as unknown]))
  return Object.fromEntries(Object.keys(personal).map((name) => [name, stored.get(name) ?? null]))
}
