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

export const rolloutStatuses = [
  'scheduled',
  'running',
  'paused',
  'halted',
  'completed',
  'aborted',
  'superseded',
  'failed',
] as const
export type RolloutStatus = (typeof rolloutStatuses)[number]

/**
 * What a rollout may become. `halted` was stopped by the numbers, `paused` by a person; a person resumes either.
 * `superseded`: the channel got another deployment; `failed`: it could not start.
 */
export const rolloutTransitions = {
  scheduled: ['running', 'paused', 'aborted', 'failed'],
  running: ['paused', 'halted', 'completed', 'aborted', 'superseded'],
  paused: ['scheduled', 'running', 'halted', 'aborted', 'superseded'],
  halted: ['running', 'aborted', 'superseded'],
  completed: [],
  aborted: [],
  superseded: [],
  failed: [],
} as const satisfies Record<RolloutStatus, readonly RolloutStatus[]>

/** Statuses from which a rollout may become `to`. */
export function rolloutSourcesOf(to: RolloutStatus): RolloutStatus[] {
  return rolloutStatuses.filter((from) => (rolloutTransitions[from] as readonly RolloutStatus[]).includes(to))
}

export const changeRequestStates = [
  'submitted',
  'approved',
  'executing',
  'executed',
  'attested',
  'reconciled',
  'closed',
  'rejected',
  'canceled',
  'voided',
] as const
export type ChangeRequestState = (typeof changeRequestStates)[number]

/**
 * What a change request may become (the database refuses the rest too). `executing` goes back to `approved` when nothing
 * came of it; what was done before anybody was asked begins as `executed` and may be `rejected` afterwards.
 */
export const changeRequestTransitions = {
  submitted: ['approved', 'rejected', 'canceled', 'voided'],
  approved: ['executing', 'rejected', 'canceled', 'voided'],
  executing: ['executed', 'approved', 'voided'],
  executed: ['attested', 'closed', 'rejected'],
  attested: ['reconciled', 'closed'],
  reconciled: ['closed'],
  closed: [],
  rejected: [],
  canceled: [],
  voided: [],
} as const satisfies Record<ChangeRequestState, readonly ChangeRequestState[]>

/** States from which a change request may become `to`. */
export function changeRequestSourcesOf(to: ChangeRequestState): ChangeRequestState[] {
  const table: Record<ChangeRequestState, readonly ChangeRequestState[]> = changeRequestTransitions
  return changeRequestStates.filter((from) => table[from].includes(to))
}
