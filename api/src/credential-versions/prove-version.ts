import type { Context } from '../context.js'
import { Problem } from '../problems.js'
import type { VersionPath } from './queries.js'

/**
 * The canary: the broker opens the stored version, signs a fixed message with its key and verifies that signature
 * against its certificate. Throws `SealError` when the broker does not answer: nothing is known then.
 */
export function proveVersion(ctx: Context, { credentialId, version }: VersionPath): Promise<boolean> {
  return ctx.seal.proveKey({ org: ctx.orgId, credential: credentialId, version, requestId: ctx.requestId })
}

export function canaryFailed(version: number): Problem {
  return new Problem(
    'credential-canary-failed',
    `Version ${version} did not sign a test message that its certificate verifies, so no build gets it. Upload the file again as a new version.`,
  )
}
