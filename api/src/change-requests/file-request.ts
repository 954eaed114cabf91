import { changeRequests, newId, type Transaction } from '@capstan/migrations'
import { and, eq, inArray, ne, sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Change, contentOf, hashContent } from './change.js'
import type { By, ChangeRequest } from './queries.js'
import { rootsOf } from './roots.js'
import { voidRequest } from './void-request.js'

export type Filed = {
  request: ChangeRequest
  /** An approved request for another content that this one replaces. */
  replaced: ChangeRequest | null
}

/** Asks for a change in the name of who wanted to do it. Asking again is the same request; an edited one replaces it. */
export async function fileRequest(tx: Transaction, by: By, change: Change): Promise<Filed> {
  const content = contentOf(by.orgId, change)
  const contentHash = hashContent(content)
  const roots = await rootsOf(tx, by.actor)
  const replaced = await voidEdited(tx, by, change, { contentHash, roots })
  const [added] = await tx
    .insert(changeRequests)
    .values(rowOf(by, change, content))
    .onConflictDoNothing()
    .returning()
  if (!added) return { request: await findOpen(tx, contentHash, roots), replaced }
  await recordAudit(tx, by, {
    action: 'change_request.submitted',
    target: { changeRequest: added.id, ...change.subject },
    data: { action: change.action, contentHash },
  })
  return { request: added, replaced }
}

export function rowOf(by: By, change: Change<string>, content: string): typeof changeRequests.$inferInsert {
  return {
    id: newId(),
    orgId: by.orgId,
    appId: change.subject.app ?? null,
    action: change.action,
    subject: change.subject,
    content,
    contentHash: hashContent(content),
    submittedBy: by.actor.id,
    submittedVia: by.actor.via?.type ?? '',
    submittedViaId: by.actor.via?.id ?? null,
    // The database computes them.
    submitterRoots: [],
    createdAt: by.now(),
  }
}

type Own = { contentHash: string; roots: readonly string[] }

const sameRoots = (roots: readonly string[]) =>
  sql`${changeRequests.submitterRoots} = ${`{${roots.join(',')}}`}::uuid[]`

/** An approval is for what was shown: whoever changes what he wants starts anew. */
async function voidEdited(tx: Transaction, by: By, change: Change, own: Own): Promise<ChangeRequest | null> {
  const edited = await tx
    .select()
    .from(changeRequests)
    .where(
      and(
        eq(changeRequests.action, change.action),
        sql`${changeRequests.subject} = ${JSON.stringify(change.subject)}::jsonb`,
        sameRoots(own.roots),
        ne(changeRequests.contentHash, own.contentHash),
        inArray(changeRequests.state, ['submitted', 'approved']),
      ),
    )
    .for('no key update')
  for (const request of edited) {
    await voidRequest(tx, by, request, 'What it asks for was edited.')
  }
  return edited.find(({ state }) => state === 'approved') ?? null
}

async function findOpen(tx: Transaction, contentHash: string, roots: readonly string[]): Promise<ChangeRequest> {
  const [open] = await tx
    .select()
    .from(changeRequests)
    .where(
      and(
        eq(changeRequests.contentHash, contentHash),
        sameRoots(roots),
        inArray(changeRequests.state, ['submitted', 'approved']),
      ),
    )
  if (!open) throw new Error('A change request conflicts with one that is not there.')
  return open
}
