export const jobStatuses = [
  'queued',
  'pending',
  'in_progress',
  'succeeded',
  'failed',
  'canceled',
  'rejected',
  'timed_out',
] as const
export type JobStatus = (typeof jobStatuses)[number]

/**
 * What a job may become. `queued` waits for the relay, `pending` for a worker; an attempt that was lost goes back to
 * `queued`. A finished job stays as it is (the database refuses it too).
 */
export const jobTransitions = {
  queued: ['pending', 'in_progress', 'canceled', 'rejected', 'failed'],
  pending: ['queued', 'in_progress', 'canceled', 'rejected', 'failed'],
  in_progress: ['queued', 'succeeded', 'failed', 'canceled', 'timed_out'],
  succeeded: [],
  failed: [],
  canceled: [],
  rejected: [],
  timed_out: [],
} as const satisfies Record<JobStatus, readonly JobStatus[]>

/** Statuses from which a job may become `to`: for `where status in (…)` of the one conditional UPDATE. */
export function sourcesOf(to: JobStatus): JobStatus[] {
  return jobStatuses.filter((from) => (jobTransitions[from] as readonly JobStatus[]).includes(to))
}

/** Statuses that a job never leaves. */
export const finishedStatuses: readonly JobStatus[] = jobStatuses.filter(
  (status) => jobTransitions[status].length === 0,
)

export const credentialVersionStatuses = ['draft', 'validated', 'active', 'retiring', 'retired', 'destroyed'] as const
export type CredentialVersionStatus = (typeof credentialVersionStatuses)[number]

/**
 * What a version of a credential may become. `retiring` serves builds that are in flight, `retired` none; both can be
 * made active again until the version is `destroyed`, when its key no longer exists.
 */
export const credentialVersionTransitions = {
  draft: ['validated', 'destroyed'],
  validated: ['active', 'destroyed'],
  active: ['retiring', 'destroyed'],
  retiring: ['retired', 'active'],
  retired: ['active', 'destroyed'],
  destroyed: [],
} as const satisfies Record<CredentialVersionStatus, readonly CredentialVersionStatus[]>
