import { withOrg } from '@capstan/migrations'

import { recordAudit } from '../audit/record-audit.js'
import { requireApproval } from '../change-requests/require-approval.js'
import { spendApproval } from '../change-requests/spend-approval.js'
import { type Context, requireScope } from '../context.js'
import { moveVersion } from './move-version.js'
import type { StoredVersion } from './present-version.js'
import { lockCredential, requireCredentialRow, requireVersion, type VersionPath } from './queries.js'
import { refuseUsedVersion } from './refuse-used-version.js'

/**
 * Takes a version out of use: an active one gets no new builds from here on and serves those that have it; one that
 * retires already is retired at once when no unfinished build signs with it.
 */
export async function retireVersion(ctx: Context, path: VersionPath): Promise<StoredVersion> {
  requireScope(ctx, 'credentials:write')
  const found = await withOrg(ctx.db, ctx.orgId, async (tx) => {
    await requireCredentialRow(tx, path)
    return requireVersion(tx, path)
  })
  const approval = await requireApproval(ctx, {
    action: 'credential.rotate',
    subject: { app: path.appId, credential: path.credentialId, version: String(path.version) },
    effect: { usable: false },
    details: { verb: 'retire', fingerprint: found.fingerprintSha256 },
  })
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    await lockCredential(tx, path)
    const version = await requireVersion(tx, path)
    const active = version.status === 'active'
    if (version.status === 'retiring') await refuseUsedVersion(tx, path)
    const moved = active
      ? await moveVersion(tx, version, 'retiring')
      : await moveVersion(tx, version, 'retired', { retiredAt: ctx.now() })
    const spent = await spendApproval(tx, ctx, approval, {
      entity: `credential-version/${version.id}`,
      ...(active ? { supersedes: [`credential/${path.credentialId}`] } : {}),
    })
    await recordAudit(tx, ctx, {
      action: active ? 'credential.version_retiring' : 'credential.version_retired',
      target: { app: path.appId, credential: path.credentialId },
      data: { version: path.version, fingerprint: version.fingerprintSha256, approval: spent },
    })
    return moved
  })
}
