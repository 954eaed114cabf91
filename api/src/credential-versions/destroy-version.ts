import { withOrg } from '@capstan/migrations'

import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { destroyKey } from './destroy-key.js'
import { moveVersion } from './move-version.js'
import type { StoredVersion } from './present-version.js'
import { lockCredential, requireVersion, type VersionPath } from './queries.js'
import { refuseUsedVersion } from './refuse-used-version.js'
import { hashContent, requireApproval } from './require-approval.js'

/** Destroys the key of a version; what was said about it stays. There is no way back. */
export async function destroyVersion(ctx: Context, path: VersionPath): Promise<StoredVersion> {
  requireScope(ctx, 'credentials:write')
  const content = { action: 'credential.version_destroyed', credential: path.credentialId, version: path.version }
  const approval = await requireApproval(ctx, 'credential.delete', hashContent(content))
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    await lockCredential(tx, path)
    const version = await requireVersion(tx, path)
    if (version.status === 'active' || version.status === 'retiring') {
      throw new Problem(
        'credential-version-refused',
        `Version ${path.version} is ${version.status}. Make another one active or retire it first, or delete the certificate.`,
      )
    }
    if (version.status === 'destroyed') return version
    await refuseUsedVersion(tx, path)
    const { certificateId } = await destroyKey(ctx, path)
    const destroyed = await moveVersion(tx, version, 'destroyed', { envelope: null, destroyedAt: ctx.now() })
    await recordAudit(tx, ctx, {
      action: 'credential.version_destroyed',
      target: { app: path.appId, credential: path.credentialId },
      data: {
        version: path.version,
        fingerprint: version.fingerprintSha256,
        deletionCertificate: certificateId,
        approval,
      },
    })
    return destroyed
  })
}
