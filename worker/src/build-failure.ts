import type { FinishReport } from '@capstan/migrations/messages'

/** Why a build ends without success: a stable code, one sentence for the user, and whether another attempt makes sense. */
export class BuildFailure extends Error {
  override name = 'BuildFailure'
  readonly code: string
  readonly retryable: boolean
  readonly status: Exclude<FinishReport['status'], 'succeeded'>

  constructor(
    code: string,
    message: string,
    options: { retryable?: boolean; status?: BuildFailure['status']; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause })
    this.code = code
    this.retryable = options.retryable ?? false
    this.status = options.status ?? 'failed'
  }
}

/** The fault is the platform's, not the build's: the control plane may run the build again. */
export function platformFailure(code: string, message: string, cause?: unknown): BuildFailure {
  return new BuildFailure(code, message, { retryable: true, cause })
}

/** Another attempt owns the build, or nobody does: stop at once and report nothing. */
export class LeaseLost extends Error {
  override name = 'LeaseLost'
}

export const buildCanceled = () => new BuildFailure('build-canceled', 'The build was canceled.', { status: 'canceled' })

export const buildTimedOut = (wallClockMs: number) =>
  new BuildFailure(
    'build-timed-out',
    `The build took longer than its limit of ${Math.round(wallClockMs / 1000)} seconds. Make it faster or raise the limit.`,
    { status: 'timed_out' },
  )

export const buildIdle = (idleMs: number) =>
  new BuildFailure(
    'build-idle',
    `The build printed nothing for ${Math.round(idleMs / 1000)} seconds and was stopped. A command may be waiting for input.`,
    { status: 'timed_out' },
  )

export const workerStopped = () =>
  platformFailure('worker-stopped', 'The worker was stopped while the build ran; the build is handed back.')
