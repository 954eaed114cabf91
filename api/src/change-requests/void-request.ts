import type { Transaction } from '@capstan/migrations'
import { recordAudit } from '../audit/record-audit.js'
import { type By, type ChangeRequest, moveRequest } from './queries.js'

/** It counts for nothing any more, and the log says why. */
export async function voidRequest(tx: Transaction, by: By, request: ChangeRequest, reason: string): Promise<void> {
  await moveRequest(tx, by, request, { to: 'voided', step: { step: 'voided', reason } })
  await recordAudit(tx, by, {
    action: 'change_request.voided',
    target: { changeRequest: request.id, ...request.subject },
    data: { action: request.action, contentHash: request.contentHash, reason },
  })
}
