import { createHash } from 'node:crypto'

import { canonicalJson, type CanonicalValue } from '../audit/canonical-json.js'
import { type Context, requireScope } from '../context.js'

/** What may need a second person's consent. */
export type ApprovalAction = 'credential.rotate' | 'credential.delete' | 'organization.terminate' | 'role.grant'

/** Belongs into the audit event of the change: it says exactly what was consented to. */
export type Approval = { contentHash: string }

const DOMAIN = 'approval-content-v1\0'

/** Names what is to change, byte for byte: another content has another hash and needs a consent of its own. */
export function hashContent(content: CanonicalValue): string {
  return createHash('sha256').update(DOMAIN).update(canonicalJson(content)).digest('hex')
}

/**
 * Asked before a credential is rotated or deleted, or a role given that can approve, and before the transaction that does
 * it. Whoever has the scope may do that alone; a rule that asks for a second person refuses here, by the action and the hash.
 */
export async function requireApproval(ctx: Context, action: ApprovalAction, contentHash: string): Promise<Approval> {
  requireScope(ctx, action === 'role.grant' ? 'members:write' : 'credentials:write')
  return { contentHash }
}
