import { createHash } from 'node:crypto'
import { canonicalData, canonicalJson, type CanonicalValue } from '../audit/canonical-json.js'

/** What needs a second person's consent where the organization demands it. */
type ApprovedAction =
  | 'credential.create'
  | 'credential.rotate'
  | 'credential.delete'
  | 'deployment.create'
  | 'deployment.widen'
  | 'rollout.create'
  | 'rollout.resume'
  | 'bundle.delete'
  | 'public-key.add'
  | 'public-key.revoke'
  | 'root.add'
  | 'channel.protection'
  | 'app.egress'
  | 'app.delete'
  | 'organization.retention'
  | 'organization.terminate'
  | 'policy.disable'
  | 'role.grant'

/** What makes an app safer: one person does it at once, and somebody else approves it within a day. */
export type RecordedAction =
  | 'deployment.rollback'
  | 'deployment.narrow'
  | 'rollout.pause'
  | 'rollout.abort'
  | 'channel.pause'

export type Change<Action extends string = ApprovedAction> = {
  action: Action
  /** Ids of what is changed. Of one person's requests for one action and subject the newest counts. */
  subject: Readonly<Record<string, string>>
  /** What a reading finds once it is done, by the names that `observe` uses. */
  effect: Readonly<Record<string, CanonicalValue>>
  /** What else is consented to and shows in no reading. */
  details?: Readonly<Record<string, CanonicalValue>>
}

/** What is to change, byte for byte as it is hashed. */
export function contentOf(orgId: string, { action, subject, effect, details }: Change<string>): string {
  return canonicalJson(canonicalData({ v: 1, org: orgId, action, subject, effect, details: details ?? {} }))
}

const DOMAIN = 'approval-content-v1\0'

/** Another content has another hash and needs a consent of its own. */
export function hashContent(content: string): string {
  return createHash('sha256').update(DOMAIN).update(content).digest('hex')
}

/** A stored content; it was hashed as it stands. */
export function readContent(content: string) {
  return JSON.parse(content) as Required<Pick<Change<string>, 'action' | 'subject' | 'effect' | 'details'>>
}
