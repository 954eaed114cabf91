import { withOrg } from '@capstan/migrations'

import { recordAudit } from '../audit/record-audit.js'
import { requireApproval } from '../change-requests/require-approval.js'
import { spendApproval } from '../change-requests/spend-approval.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { destroyKey } from './destroy-key.js'
import { moveVersion } from './move-version.js'
import type { StoredVersion } from './present-version.js'
import { lockCredential, requireCredentialRow, requireVersion, type VersionPath } from './queries.js'
import { refuseUsedVersion } from './refuse-used-version.js'

/** Destroys the key of a version; what was said about it stays. There is no way back. */
export async function destroyVersion(ctx: Context, path: VersionPath): Promise<StoredVersion> {
  requireScope(ctx, 'credentials:write')
  const found = await withOrg(ctx.db, ctx.orgId, async (tx) => {
    await requireCredentialRow(tx, path)
    return requireVersion(tx, path)
  })
  if (found.status === 'destroyed') return found
  const approval = await requireApproval(ctx, {
    action: 'credential.delete',
    subject: { app: path.appId, credential: path.credentialId, version: String(path.version) },
    effect: { destroyed: true },
    details: { fingerprint: found.fingerprintSha256 },
  })
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
    const spent = await spendApproval(tx, ctx, approval, { entity: `credential-version/${version.id}` })
    const { certificateId } = await destroyKey(ctx, path)
    const destroyed = await moveVersion(tx, version, 'destroyed', { envelope: null, destroyedAt: ctx.now() })
    await recordAudit(tx, ctx, {
      action: 'credential.version_destroyed',
      target: { app: path.appId, credential: path.credentialId },
      data: {
        version: path.version,
        fingerprint: version.fingerprintSha256,
        deletionCertificate: certificateId,
        approval: spent,
      },
    })
    return destroyed
  })
}
